// Package manager is the job manager: it accepts jobs, decides where and when they run,
// follows their attempts and records every step.
//
// The package keeps its promises by its shape. Core (pure, one goroutine, `now` passed in)
// makes every decision in memory and leaves the rows that record it; the loop commits the
// rows of many decisions in one transaction, and only then do answers and messages to
// workers leave. A crash therefore loses nothing that was acknowledged: the next manager
// reads the rows and goes on. Reads are answered from the store and so show committed
// state only.
package manager

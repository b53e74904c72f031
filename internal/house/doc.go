// Package house keeps the rules of the house: its tests read the source of the whole
// module and fail when a package breaks one. It has no code of its own.
//
// It promises, with every go test:
//
//   - Imports go down the floors, by the table in rooms_test.go; what is not in the table
//     is refused, as importer and as imported (R1, R3, R4).
//   - Core is pure: no clock, goroutine, random number, output or order of a map (R2).
//   - Every package says in its comment what it promises (R5).
//   - Files have at most 800 lines, functions 100; a table that must be longer carries
//     the comment "house:table" and why (R6).
//   - No package or file is named after nothing: util, common, helper and the like (R7).
//   - The modules that the binary is made of are a committed list (R8).
//   - No package has an init function, no core package changes a package variable (R9).
//
// To change the list of modules on purpose: go test ./internal/house -run TestBill -update
package house

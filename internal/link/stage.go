package link

import "fmt"

// StageTag is the job tag that names a staging plan: an s3:// URL of a StagePlan in JSON.
// It is read and frozen when the job is submitted; the worker does the staging, so that
// the job's command needs neither drover nor aws.
const StageTag = "drover:stage"

// StagePlanVersion is written into each plan.
const StagePlanVersion = 1

// StagePlan says how the worker feeds each unit of a job and where its results go. Child i
// handles item i of the work list; a plain job handles item 0. In the command, "{in}" and
// "{out}" (anywhere in a word) stand for local paths that the worker chooses.
type StagePlan struct {
	Version int    `json:"v"`
	Items   int64  `json:"items"`            // length of the work list
	Chunk   int64  `json:"chunk"`            // items per list object
	Lists   string `json:"lists"`            // s3://bucket/prefix/ of the list objects, see ListKey
	In      string `json:"in"`               // s3://bucket/prefix/ below which each item's Path is
	Out     string `json:"out"`              // s3://bucket/prefix/ below which results go, under the item's Path
	Stdin   bool   `json:"stdin,omitempty"`  // the input file is standard input, not {in}
	Stdout  bool   `json:"stdout,omitempty"` // standard output is the result, not {out}; standard error is logged

	// Reduce: the job sees all results of the work list at once. {in} is a folder that holds
	// them under their Paths (with Stdin: all of them, one after another in order, are
	// standard input). {out} is a folder whose files are stored under Out (with Stdout:
	// standard output is stored as Out + "reduce.out").
	Reduce bool `json:"reduce,omitempty"`
}

// Item is one line of the work list.
type Item struct {
	Path string `json:"path"` // relative to StagePlan.In, and of the result to StagePlan.Out
	Size int64  `json:"size"`
}

// ListKey is the name, below Lists, of the object with the JSON array of the items
// [n*Chunk, (n+1)*Chunk).
func ListKey(n int64) string { return fmt.Sprintf("%08d.json", n) }

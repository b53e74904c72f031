//go:build !linux

package disk

import "os"

// reserve does nothing where the system has no call for it.
func reserve(*os.File, int64) {}

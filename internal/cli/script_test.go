package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts run the real program: this test binary under the name drover, with its
// server, worker and launcher as processes of their own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"drover": func() { os.Exit(Main(context.Background(), os.Args[1:])) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			// Short, because the launcher's socket lies in it and a socket's path is bounded.
			data, err := os.MkdirTemp("", "drover-")
			if err != nil {
				return err
			}
			e.Setenv("DROVER_DATA", data)
			e.Defer(func() {
				// A script that ended well has stopped its server; of one that failed it is
				// stopped here, before the folder goes.
				if _, err := serverOf(data); err == nil {
					if out, err := exec.Command("drover", "stop", "--jobs", "--data", data).CombinedOutput(); err != nil {
						t.Logf("stop the server of %s: %v %s", data, err, out)
					}
				}
				if err := os.RemoveAll(data); err != nil {
					t.Errorf("remove the data folder: %v", err)
				}
			})
			return nil
		},
	})
}

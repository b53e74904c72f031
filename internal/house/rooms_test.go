package house

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// room is a package of the house: its floor and what it may import. House packages are
// named without "drover/internal/"; a name that ends in "/..." means what lies below it.
// Everything not said here is refused.
type room struct {
	name  string
	floor floor
	house string // packages of the house, separated by spaces
	third string // other people's packages, each with what lies below it
}

type floor int

const (
	core     floor = iota // pure decisions
	ports                 // the doors to disk, network and processes
	works                 // manager and worker
	services              // one for each AWS service; never siblings
	roof                  // puts the whole together
	door                  // main
	proofs                // tests only: imported from _test.go files and sim
)

const (
	awsSDK  = "github.com/aws/aws-sdk-go-v2/aws"
	system  = "golang.org/x/sys/unix"
	pgx     = "github.com/jackc/pgx/v5"
	compare = "github.com/google/go-cmp"
	moby    = "github.com/moby/moby"
	images  = "github.com/google/go-containerregistry"
)

// rooms is the plan of the house.
func rooms() []room {
	return []room{
		{"core/arn", core, "", ""},
		{"core/fault", core, "", ""},
		{"core/resource", core, "", ""},
		{"core/job", core, "core/arn core/fault core/resource", ""},
		{"core/sched", core, "core/arn core/fault core/resource core/job", ""},
		{"core/upkeep", core, "", ""},
		{"core/tape", core, "core/job core/resource core/sched", ""},
		{"core/forecast", core, "core/job core/sched", ""},

		{"store", ports, "core/... store/engine store/sqlite store/postgres", ""},
		{"store/engine", ports, "core/fault", ""},
		{"store/sqlite", ports, "core/fault store/engine", "modernc.org/sqlite/lib modernc.org/libc"},
		{"store/postgres", ports, "core/fault store/engine", pgx},
		{"store/storetest", proofs, "store", pgx},

		{"blob", ports, "", ""},
		{"blob/disk", ports, "blob", system},
		{"blob/s3", ports, "blob core/fault link/external", awsSDK + " github.com/aws/aws-sdk-go-v2/service/s3 github.com/aws/smithy-go"},
		{"blob/sealed", ports, "blob", ""},
		{"blob/blobtest", proofs, "blob", ""},

		{"wire", ports, "core/... wire/authz wire/sigv4", ""},
		{"wire/authz", ports, "core/fault", ""},
		{"wire/authz/policy", ports, "core/arn core/fault wire/authz", "github.com/versity/versitygw/iamapi"},
		{"wire/sigv4", ports, "core/fault wire/authz", ""},
		{"wire/certs", ports, "", ""},
		{"wire/keys", ports, "core/fault wire/authz wire/sigv4", ""},
		{"wire/wiretest", proofs, "core/... wire wire/...", awsSDK + " github.com/aws/aws-sdk-go-v2/credentials " + compare},

		{"link", ports, "core/... wire/sigv4", ""},
		{"link/external", ports, "core/fault wire/certs", awsSDK + " github.com/aws/aws-sdk-go-v2/config github.com/aws/aws-sdk-go-v2/credentials github.com/aws/aws-sdk-go-v2/service/s3 github.com/aws/smithy-go"},
		{"link/objects", ports, "core/... wire/sigv4", ""},

		{"executor", ports, "core/...", ""},
		{"executor/rtnetlink", ports, "", system},
		{"executor/launcher", ports, "core/... executor", system},
		{"executor/process", ports, "core/... executor executor/launcher", system},
		{"executor/docker/inside", ports, "", system},
		{"executor/docker", ports, "core/... executor executor/rtnetlink executor/docker/inside", moby + " github.com/containerd/errdefs github.com/distribution/reference " + system},
		{"executor/executortest", proofs, "core/... executor", ""},
		{"executor/dockertest", proofs, "", moby + " " + images},
		{"executor/dockertest/prog", proofs, "executor/docker/inside", ""},

		{"manager", works, "core/... store", ""},
		{"worker", works, "core/... executor executor/rtnetlink link link/objects wire/sigv4", system},

		{"service/batch", services, "core/... wire manager", awsSDK + " github.com/aws/aws-sdk-go-v2/service/batch"},
		{"service/logs", services, "core/... wire store", awsSDK + " github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs github.com/klauspost/compress/zstd"},
		{"service/native", services, "core/... wire manager", ""},
		{"service/s3", services, "core/... wire wire/authz wire/sigv4 store blob blob/disk link/external", awsSDK + " github.com/aws/aws-sdk-go-v2/service/s3 github.com/aws/aws-sdk-go-v2/service/batch " + system +
			" github.com/versity/versitygw github.com/gofiber/fiber/v3 github.com/valyala/fasthttp"},
		{"service/iam", services, "core/... wire wire/authz wire/authz/policy wire/keys wire/sigv4 store", awsSDK + " github.com/aws/aws-sdk-go-v2/service/iam"},
		{"service/sts", services, "core/... wire wire/authz wire/authz/policy wire/keys", awsSDK + " github.com/aws/aws-sdk-go-v2/service/sts"},

		{"server", roof, below, system},
		{"cli", roof, below + " server sim/replay", awsSDK + " github.com/aws/aws-sdk-go-v2/service/batch github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs github.com/alecthomas/kong " + system},
		{"sim", roof, below + " store/storetest", ""},
		{"sim/replay", roof, "core/... manager", "go.yaml.in/yaml/v3"},
		{"house", proofs, "", ""},
		{"cmd/drover", door, "cli server", ""},
	}
}

// below is everything under the roof.
const below = "core/... store blob blob/disk blob/s3 blob/sealed wire wire/authz wire/authz/policy wire/sigv4 wire/keys wire/certs link link/... executor executor/launcher executor/process executor/docker executor/docker/inside manager worker " +
	"service/batch service/iam service/logs service/native service/s3 service/sts"

// outside are folders that use the house and are not part of it. Nothing may import them
// but their own packages; they may import what they need.
func outside() []string { return []string{"examples", "bench", "e2e", "scripts"} }

// onlyIn are other people's packages that only the named folders may import, although
// folders outside of the floors are free in what they use.
func onlyIn() map[string]string {
	return map[string]string{"github.com/jonreiter/govader": "examples"}
}

// forTests are other people's packages that _test.go files may import beside what their
// package may.
func forTests() []string {
	return []string{compare, "go.uber.org/goleak", "pgregory.net/rapid", "github.com/rogpeppe/go-internal", "github.com/google/uuid",
		"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", pgx, moby, images}
}

const module = "drover"

// short names a package of the module as the table does; ok is false for others.
func short(importPath string) (name string, ok bool) {
	name, ok = strings.CutPrefix(importPath, module+"/")
	return strings.TrimPrefix(name, "internal/"), ok
}

func isStd(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".") && first != module
}

func inFolder(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func isOutside(name string) bool {
	return slices.ContainsFunc(outside(), func(folder string) bool { return inFolder(name, folder) })
}

// allowed reports whether a list of names and "name/..." has the name.
func allowed(list, name string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(entry string) bool {
		folder, all := strings.CutSuffix(entry, "/...")
		return entry == name || all && strings.HasPrefix(name, folder+"/")
	})
}

// checkFloors says what is wrong with the imports of packages.
func checkFloors(plan []room, packages []pkg) (wrong []string) {
	byName := map[string]room{}
	for _, r := range plan {
		byName[r.name] = r
	}
	for _, p := range packages {
		name, ok := short(p.ImportPath)
		if !ok {
			continue
		}
		r, known := byName[name]
		if !known && !isOutside(name) {
			wrong = append(wrong, fmt.Sprintf("%s has no room: give it a line in internal/house/rooms_test.go", name))
			continue
		}
		for _, imported := range p.Imports {
			if why := refuse(byName, name, r, imported); why != "" {
				wrong = append(wrong, fmt.Sprintf("%s may not import %s: %s", name, imported, why))
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if why := refuseInTest(byName, name, r, imported); why != "" {
				wrong = append(wrong, fmt.Sprintf("tests of %s may not import %s: %s", name, imported, why))
			}
		}
	}
	return wrong
}

// refuse says why a package may not import another, or "".
func refuse(byName map[string]room, name string, r room, imported string) string {
	for pkg, folder := range onlyIn() {
		if inFolder(imported, pkg) && !inFolder(name, folder) {
			return "only " + folder + " may"
		}
	}
	other, inHouse := short(imported)
	switch {
	case isStd(imported):
		if r.floor == core && !isOutside(name) && !slices.Contains(pureStd(), imported) {
			return "core is pure, and this package of the standard library is not on its list"
		}
		return ""
	case inHouse && isOutside(other):
		if isOutside(name) && path.Dir(name) == path.Dir(other) || inFolder(name, other) || inFolder(other, name) {
			return "" // parts of one example
		}
		return "it is outside of the house, nothing may rest on it"
	case inHouse:
		to, known := byName[other]
		switch {
		case !known:
			return "it has no room in internal/house/rooms_test.go"
		case to.floor == proofs && r.floor != proofs && name != "sim":
			return "it is for tests only"
		case isOutside(name) || allowed(r.house, other):
			return ""
		case to.floor == services && r.floor == services:
			return "services never import each other; they meet through wire.Caller and events"
		case to.floor > r.floor:
			return "imports go down the floors"
		}
		return "the plan in internal/house/rooms_test.go does not say so"
	case isOutside(name):
		return ""
	case slices.ContainsFunc(strings.Fields(r.third), func(p string) bool { return inFolder(imported, p) }):
		return ""
	}
	return "other people's code is allowed package by package, in internal/house/rooms_test.go"
}

// refuseInTest is refuse for _test.go files: they may use any room that is not above
// their own, the suites, and the libraries for tests.
func refuseInTest(byName map[string]room, name string, r room, imported string) string {
	other, inHouse := short(imported)
	to, known := byName[other]
	switch {
	case isStd(imported), isOutside(name):
		return ""
	case inHouse && known && (other == name || to.floor == proofs || to.floor <= r.floor && !(to.floor == services && r.floor == services)):
		return ""
	case !inHouse && slices.ContainsFunc(forTests(), func(p string) bool { return inFolder(imported, p) }):
		return ""
	}
	return refuse(byName, name, r, imported)
}

// TestFloors is R1, R3 and R4.
func TestFloors(t *testing.T) {
	m := load(t)
	for _, wrong := range checkFloors(rooms(), m.packages) {
		t.Error(wrong)
	}
	names := map[string]bool{}
	for _, r := range rooms() {
		if names[r.name] {
			t.Errorf("%s has two rooms", r.name)
		}
		names[r.name] = true
		for _, entry := range strings.Fields(r.house) {
			i := slices.IndexFunc(rooms(), func(o room) bool { return allowed(entry, o.name) })
			if i < 0 {
				t.Errorf("%s may import %s, which has no room", r.name, entry)
			} else if to := rooms()[i]; to.floor > r.floor && r.name != "sim" {
				t.Errorf("%s may import %s, which is above it", r.name, entry)
			}
		}
	}
}

// TestFloorsRefuse plants violations.
func TestFloorsRefuse(t *testing.T) {
	in := func(name string) string { return module + "/internal/" + name }
	cases := []struct {
		from, to string
		inTest   bool
		want     string // "" = allowed
	}{
		{in("core/job"), in("core/fault"), false, ""},
		{in("core/fault"), in("core/job"), false, "does not say so"},
		{in("core/job"), in("store"), false, "down the floors"},
		{in("core/job"), "os", false, "core is pure"},
		{in("core/job"), "math/rand/v2", false, "core is pure"},
		{in("core/job"), "os", true, ""},
		{in("core/job"), "github.com/google/uuid", false, "package by package"},
		{in("manager"), in("store"), false, ""},
		{in("manager"), in("store/sqlite"), false, "does not say so"},
		{in("manager"), in("wire"), false, "does not say so"},
		{in("manager"), in("service/batch"), false, "down the floors"},
		{in("manager"), in("store/storetest"), false, "for tests only"},
		{in("manager"), in("store/storetest"), true, ""},
		{in("manager"), in("service/batch"), true, "down the floors"},
		{in("sim"), in("store/storetest"), false, ""},
		{in("service/batch"), in("service/logs"), false, "services never import each other"},
		{in("service/batch"), in("service/logs"), true, "services never import each other"},
		{in("service/batch"), in("manager"), false, ""},
		{in("service/logs"), in("manager"), false, "does not say so"},
		{in("service/sqs"), "fmt", false, "has no room"},
		{in("server"), in("service/sqs"), false, "has no room"},
		{in("server"), in("cli"), false, "does not say so"},
		{in("store"), "github.com/jackc/pgx/v5", false, "package by package"},
		{in("store/postgres"), "github.com/jackc/pgx/v5/pgconn", false, ""},
		{in("store/postgres"), "github.com/jackc/pgx/v55", false, "package by package"},
		{in("store"), "github.com/google/go-cmp/cmp", true, ""},
		{in("service/s3"), "github.com/versity/versitygw/s3api", false, ""},
		{in("service/batch"), "github.com/versity/versitygw/s3api", false, "package by package"},
		{in("service/batch"), "github.com/versity/versitygw/s3api", true, "package by package"},
		{in("cli"), "github.com/jonreiter/govader", false, "only examples may"},
		{module + "/bench/x", "github.com/jonreiter/govader", false, "only examples may"},
		{module + "/examples/reviews/worker", "github.com/jonreiter/govader", false, ""},
		{module + "/examples/reviews/worker", module + "/examples/reviews/review", false, ""},
		{module + "/examples/reviews/worker", module + "/examples/fanout/x", false, "outside of the house"},
		{in("cli"), module + "/examples/reviews/review", false, "outside of the house"},
		{module + "/bench/x", in("service/batch"), false, ""},
		{module + "/bench/x", in("store/storetest"), false, "for tests only"},
		{module + "/cmd/drover", in("cli"), false, ""},
		{module + "/cmd/drover", in("manager"), false, "does not say so"},
		{module + "/tools", "fmt", false, "has no room"},
	}
	for _, c := range cases {
		p := pkg{ImportPath: c.from, Imports: []string{c.to}}
		if c.inTest {
			p.Imports, p.TestImports = nil, p.Imports
		}
		got := strings.Join(checkFloors(rooms(), []pkg{p}), "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s importing %s (in a test: %t): %q, want %q", c.from, c.to, c.inTest, got, c.want)
		}
	}
}

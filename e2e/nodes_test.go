package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"drover/internal/executor/dockertest"
)

// mpiProgram builds the ring, and gives the folder that has it and the script of a node.
func mpiProgram(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"mpicc.mpich", "mpiexec.hydra", "hydra_pmi_proxy"} {
		need(t, name)
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) { // containers read it as whoever they are
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mpicc.mpich", "-o", filepath.Join(dir, "ring"), "testdata/mpi_ring.c").CombinedOutput(); err != nil {
		t.Skipf("SKIP: mpicc does not build here: %v\n%s", err, out)
	}
	script, err := os.ReadFile("testdata/mpi_node.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "node.sh"), script, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// freePorts gives ports that nobody has now.
func freePorts(t *testing.T, n int) (out []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp4", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return out
}

// A real MPI program over four nodes on one host. Each rank also serves on one and the same
// port of its node's address, which works only if each node has an address of its own.
func TestMPI(t *testing.T) {
	dir := mpiProgram(t)
	run := func(s *server, image string, change func(*types.ContainerProperties)) {
		ports := freePorts(s.t, 2)
		c := &types.ContainerProperties{
			Image: &image, Command: []string{"sh", dir + "/node.sh", ports[0], dir + "/ring", ports[1]},
			Environment: []types.KeyValuePair{{Name: aws.String("UCX_TLS"), Value: aws.String("tcp,self")}}, // nodes share no memory, whatever it looks like
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("256")}},
		}
		if change != nil {
			change(c)
		}
		call[batch.RegisterJobDefinitionOutput](s, "RegisterJobDefinition", &batch.RegisterJobDefinitionInput{
			JobDefinitionName: aws.String("mpi"), Type: types.JobDefinitionTypeMultinode,
			RetryStrategy:  &types.RetryStrategy{Attempts: aws.Int32(10)}, // MPICH 4.0 over UCX's TCP may fail in MPI_Finalize, without drover too
			NodeProperties: &types.NodeProperties{NumNodes: aws.Int32(4), MainNode: aws.Int32(0), NodeRangeProperties: []types.NodeRangeProperty{{TargetNodes: aws.String("0:3"), Container: c}}},
		})
		id := *call[batch.SubmitJobOutput](s, "SubmitJob", &batch.SubmitJobInput{JobName: aws.String("ring"), JobQueue: aws.String("default"), JobDefinition: aws.String("mpi")}).JobId
		d := s.ended(id, 2*time.Minute)
		out := s.log(id + "#0")
		for rank := range 4 {
			if want := fmt.Sprintf("rank %d of 4 on node %d of 4: 10", rank, rank); !strings.Contains(out, want) {
				s.t.Errorf("the main node's log lacks %q", want)
			}
		}
		addresses := map[string]bool{}
		for n := range 4 {
			node := s.describe(id + "#" + strconv.Itoa(n))
			for _, i := range node.Attempts[0].Container.NetworkInterfaces {
				addresses[aws.ToString(i.PrivateIpv4Address)] = true
			}
			if s.t.Failed() {
				s.t.Logf("node %d: %s %s\n%s", n, node.Status, aws.ToString(node.StatusReason), s.log(id+"#"+strconv.Itoa(n)))
			}
		}
		if d.Status != types.JobStatusSucceeded || len(addresses) != 4 {
			s.t.Errorf("the job: %s %s, addresses of its nodes %v", d.Status, aws.ToString(d.StatusReason), addresses)
		}
	}
	t.Run("processes", func(t *testing.T) {
		run(serve(t), "host", nil)
	})
	t.Run("containers", func(t *testing.T) {
		api := dockertest.Engine(t)
		image := dockertest.HostImage(t, api)
		folders := []string{dockertest.HostFolder, dir}
		run(withContainers(t, "DROVER_ALLOW_VOLUME="+strings.Join(folders, ",")), image, func(c *types.ContainerProperties) {
			for i, f := range folders {
				name := "v" + strconv.Itoa(i)
				c.Volumes = append(c.Volumes, types.Volume{Name: &name, Host: &types.Host{SourcePath: &f}})
				c.MountPoints = append(c.MountPoints, types.MountPoint{SourceVolume: &name, ContainerPath: &f, ReadOnly: aws.Bool(true)})
			}
		})
	})
}

// What boto3 sees of a multi-node parallel job, from its registration to its end.
func TestBoto3Nodes(t *testing.T) {
	python := pythonWith(t, "boto3")
	s := serve(t)
	cmd := exec.Command(python, "testdata/boto3_nodes.py")
	cmd.Env = s.env()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// A server that is killed while a gang runs goes on with it: no node is started again, and
// the end of the main node still stops the others.
func TestGangOutlivesServer(t *testing.T) {
	s := serve(t)
	dir := t.TempDir()
	script := `echo "$AWS_BATCH_JOB_NODE_INDEX" >> "$1/started"; if [ "$AWS_BATCH_JOB_NODE_INDEX" = 0 ]; then while ! [ -e "$1/go" ]; do sleep 0.05; done; else sleep 600; fi`
	call[batch.RegisterJobDefinitionOutput](s, "RegisterJobDefinition", &batch.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String("gang"), Type: types.JobDefinitionTypeMultinode,
		NodeProperties: &types.NodeProperties{NumNodes: aws.Int32(3), MainNode: aws.Int32(0), NodeRangeProperties: []types.NodeRangeProperty{{TargetNodes: aws.String("0:"), Container: &types.ContainerProperties{
			Image: aws.String("host"), Command: []string{"sh", "-c", script, "sh", dir},
			ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("0.25")}, {Type: types.ResourceTypeMemory, Value: aws.String("32")}},
		}}}},
	})
	id := *call[batch.SubmitJobOutput](s, "SubmitJob", &batch.SubmitJobInput{JobName: aws.String("gang"), JobQueue: aws.String("default"), JobDefinition: aws.String("gang")}).JobId
	started := func() string {
		b, _ := os.ReadFile(filepath.Join(dir, "started")) // it is not there before the first
		return string(b)
	}
	s.await(time.Minute, "three nodes run", func() bool { return strings.Count(started(), "\n") == 3 })
	s.kill()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	d := s.ended(id, time.Minute)
	if d.Status != types.JobStatusSucceeded || len(d.Attempts) != 1 {
		t.Errorf("%s %s, %d attempts", d.Status, aws.ToString(d.StatusReason), len(d.Attempts))
	}
	for _, n := range []string{"#1", "#2"} {
		if node := s.describe(id + n); node.Status != types.JobStatusFailed || aws.ToString(node.StatusReason) != "The main node of the job has exited" {
			t.Errorf("node %s: %s %s", n, node.Status, aws.ToString(node.StatusReason))
		}
	}
	if n := strings.Count(started(), "\n"); n != 3 {
		t.Errorf("nodes were started %d times", n)
	}
}

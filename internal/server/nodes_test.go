package server_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"drover/internal/wire/sigv4"
)

// The roles of all nodes must be passed on, by who registers and by who submits, and each
// node acts as its own.
func TestNodesRunWithTheirRoles(t *testing.T) {
	root, data := account(t)
	ctx := t.Context()
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	one, two := root.role(t, "one", trustTasks, policy), root.role(t, "two", trustTasks, policy)
	carol := root.user(t, "carol", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"batch:*","Resource":"*"},
		{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::000000000000:role/one"}]}`)
	register := func(p *person, name string, roles ...string) error {
		in := &batch.RegisterJobDefinitionInput{JobDefinitionName: &name, Type: "multinode",
			NodeProperties: &batchtypes.NodeProperties{NumNodes: aws.Int32(2), MainNode: aws.Int32(0)}}
		for n, role := range roles {
			in.NodeProperties.NodeRangeProperties = append(in.NodeProperties.NodeRangeProperties, batchtypes.NodeRangeProperty{
				TargetNodes: aws.String([]string{"0:0", "1:1"}[n]),
				Container: &batchtypes.ContainerProperties{Image: aws.String("host"), Command: []string{"true"}, JobRoleArn: &role, ResourceRequirements: []batchtypes.ResourceRequirement{
					{Type: "VCPU", Value: aws.String("0.5")}, {Type: "MEMORY", Value: aws.String("64")}}},
			})
		}
		_, err := p.batch.RegisterJobDefinition(ctx, in)
		return err
	}
	ok(t, "carol passes the role of both nodes", register(carol, "mine", one, one))
	denied(t, "carol passes the role of node 1", register(carol, "theirs", one, two))
	must(t, register(root, "theirs", two, one))
	_, err := carol.submit(ctx, "default", "theirs")
	denied(t, "carol submits with the role of node 0", err)

	w := newWorker(t, root.endpoint, data)
	id, err := root.submit(ctx, "default", "theirs")
	must(t, err)
	start := w.start(t)
	inside := newPerson(root.endpoint, "drover-1", sigv4.Credentials{AccessKey: start.Credentials.AccessKeyID, Secret: start.Credentials.SecretAccessKey, SessionToken: start.Credentials.SessionToken})
	who, err := inside.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	must(t, err)
	if want := "arn:aws:sts::000000000000:assumed-role/two/" + id + "#0"; *who.Arn != want {
		t.Errorf("the main node is %s, want %s", *who.Arn, want)
	}
}

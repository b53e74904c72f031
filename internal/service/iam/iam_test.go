package iam

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"drover/internal/store"
	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
	"drover/internal/wire/wiretest"
)

const account = "000000000000"

// operationsOf names the operations of an SDK client.
func operationsOf(client any) []string {
	var names []string
	t := reflect.TypeOf(client)
	for i := range t.NumMethod() {
		if m := t.Method(i); m.Type.NumIn() == 4 && m.Name != "Options" {
			names = append(names, m.Name)
		}
	}
	return names
}

// house is a mux with the service, and the clients to it.
type house struct {
	*Service
	mux     *wire.Mux
	denials *authz.Denials
	root    *iam.Client
	dir     string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{dir: t.TempDir(), denials: authz.NewDenials(100)}
	h.open(t)
	return h
}

func (h *house) open(t *testing.T) {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(h.dir, "iam.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if h.Service, err = Open(t.Context(), Options{DB: db, Account: account, Vault: keys.NewMinter([32]byte{7}).Vault()}); err != nil {
		t.Fatal(err)
	}
	h.mux = wire.NewMux(wire.MuxOptions{Account: account, DefaultRegion: "drover-1", Authorizer: h.Service, Denials: h.denials,
		Auth: &sigv4.Verifier{Keys: keys.Any(keys.Root(wiretest.Key, account), h.Service)}})
	h.mux.Add(h.Service.Wire())
	h.root = iam.NewFromConfig(wiretest.Config(h.mux))
}

// as is a client with the access key of a new user.
func (h *house) as(t *testing.T, name, document string) *iam.Client {
	t.Helper()
	if _, err := h.root.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
		t.Fatal(err)
	}
	if document != "" {
		if _, err := h.root.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &document}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := h.root.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return h.with(*out.AccessKey.AccessKeyId, *out.AccessKey.SecretAccessKey)
}

func (h *house) with(id, secret string) *iam.Client {
	c := wiretest.Config(h.mux)
	c.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
	})
	return iam.NewFromConfig(c)
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func allow(actions, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + actions + `,"Resource":"` + resource + `"}]}`
}

const trustTasks = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// want checks an error's code and that its message says so.
func want(t *testing.T, err error, wantCode, says string) {
	t.Helper()
	if code(err) != wantCode || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%v; want %s: %s", err, wantCode, says)
	}
}

// TestRoleAsTerraformDoes creates, reads, changes and deletes as Terraform's provider does,
// with the refusals that it waits for.
func TestRoleAsTerraformDoes(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	c := h.root
	name := aws.String("batch-job")
	made, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, Path: aws.String("/team/"), AssumeRolePolicyDocument: aws.String(trustTasks),
		MaxSessionDuration: aws.Int32(7200), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := *made.Role.Arn; got != "arn:aws:iam::000000000000:role/team/batch-job" {
		t.Error(got)
	}
	_, err = c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("Batch-Job"), AssumeRolePolicyDocument: aws.String(trustTasks)})
	want(t, err, "EntityAlreadyExists", "Role with name Batch-Job already exists.")

	pol, err := c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("read"), PolicyDocument: aws.String(allow(`"s3:GetObject"`, "*"))})
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	_, err = c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: pol.Policy.Arn})
	must(err)
	_, err = c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: pol.Policy.Arn}) // twice is no mistake
	must(err)
	_, err = c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role")})
	must(err)
	_, err = c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonBraketFullAccess")})
	want(t, err, "NoSuchEntity", "of AWS's own policies drover has AWSBatchFullAccess")
	_, err = c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("in"), PolicyDocument: aws.String(allow(`["s3:*","logs:*"]`, "*"))})
	must(err)

	got, err := c.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	must(err)
	if text, _ := url.QueryUnescape(*got.Role.AssumeRolePolicyDocument); text != trustTasks || *got.Role.MaxSessionDuration != 7200 || len(got.Role.Tags) != 1 {
		t.Errorf("%+v", got.Role)
	}
	inl, err := c.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("in")})
	must(err)
	if text, _ := url.QueryUnescape(*inl.PolicyDocument); text != allow(`["s3:*","logs:*"]`, "*") {
		t.Error(text)
	}
	att, err := c.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: name})
	must(err)
	if len(att.AttachedPolicies) != 2 || *att.AttachedPolicies[1].PolicyName != "AmazonEC2ContainerServiceforEC2Role" {
		t.Errorf("%+v", att.AttachedPolicies)
	}
	p, err := c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: pol.Policy.Arn})
	must(err)
	if *p.Policy.AttachmentCount != 1 {
		t.Errorf("attached %d times, want 1", *p.Policy.AttachmentCount)
	}

	_, err = c.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: aws.String("ip")})
	must(err)
	_, err = c.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: aws.String("ip"), RoleName: name})
	must(err)
	_, err = c.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: aws.String("ip"), RoleName: name})
	want(t, err, "LimitExceeded", "InstanceSessionsPerInstanceProfile: 1")
	of, err := c.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: name})
	must(err)
	if len(of.InstanceProfiles) != 1 || *of.InstanceProfiles[0].Roles[0].RoleName != "batch-job" {
		t.Errorf("%+v", of.InstanceProfiles)
	}

	tearDown(t, c, name, pol.Policy.Arn, att.AttachedPolicies)
}

// tearDown deletes it all in Terraform's order; what is still used refuses to go.
func tearDown(t *testing.T, c *iam.Client, name, arn *string, attached []types.AttachedPolicy) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	_, err := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	want(t, err, "DeleteConflict", "must remove roles from instance profile first")
	_, err = c.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: aws.String("ip")})
	want(t, err, "DeleteConflict", "must remove roles")
	_, err = c.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: aws.String("ip"), RoleName: name})
	must(err)
	_, err = c.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: aws.String("ip")})
	must(err)
	_, err = c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	want(t, err, "DeleteConflict", "must delete policies first")
	_, err = c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("in")})
	must(err)
	_, err = c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	want(t, err, "DeleteConflict", "must detach all policies first")
	_, err = c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn})
	want(t, err, "DeleteConflict", "attached to entities")
	for _, a := range attached {
		_, err = c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: a.PolicyArn})
		must(err)
	}
	_, err = c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	must(err)
	_, err = c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn})
	must(err)
	_, err = c.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	want(t, err, "NoSuchEntity", "The role with name batch-job cannot be found.")
	if _, ok := errors.AsType[*types.NoSuchEntityException](err); !ok {
		t.Errorf("the SDK does not know the error: %T", err)
	}
	_, err = c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: arn})
	want(t, err, "NoSuchEntity", "was not found")
}

func TestPolicyVersions(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	c := h.root
	made, err := c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("v"), PolicyDocument: aws.String(allow(`"s3:GetObject"`, "*"))})
	if err != nil {
		t.Fatal(err)
	}
	arn := made.Policy.Arn
	for i := range 4 {
		out, err := c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: aws.String(allow(fmt.Sprintf(`"s3:Get%d"`, i), "*")), SetAsDefault: i == 1})
		if err != nil || *out.PolicyVersion.VersionId != fmt.Sprintf("v%d", i+2) {
			t.Fatal(out, err)
		}
	}
	_, err = c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: aws.String(allow(`"s3:X"`, "*"))})
	want(t, err, "LimitExceeded", "up to 5 versions")
	_, err = c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v3")})
	want(t, err, "DeleteConflict", "default version")
	_, err = c.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v9")})
	want(t, err, "NoSuchEntity", "v9")
	if _, err = c.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v1")}); err != nil {
		t.Error(err)
	}
	_, err = c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn})
	want(t, err, "DeleteConflict", "more than one version")
	var seen []string
	in := &iam.ListPolicyVersionsInput{PolicyArn: arn, MaxItems: aws.Int32(2)}
	for {
		out, err := c.ListPolicyVersions(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range out.Versions {
			seen = append(seen, fmt.Sprint(*v.VersionId, v.IsDefaultVersion))
		}
		if !out.IsTruncated {
			break
		}
		in.Marker = out.Marker
	}
	if !slices.Equal(seen, []string{"v5false", "v4false", "v3false", "v2false", "v1true"}) {
		t.Error(seen)
	}
	for _, v := range []string{"v2", "v3", "v4", "v5"} {
		if _, err := c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: &v}); err != nil {
			t.Error(err)
		}
	}
	if _, err = c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: arn}); err != nil {
		t.Error(err)
	}
}

func TestListsPage(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	for i := range 7 {
		path := "/a/"
		if i%2 == 1 {
			path = "/b/"
		}
		if _, err := h.root.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String(fmt.Sprintf("u%d", i)), Path: &path}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(in iam.ListUsersInput) (names []string, pages int) {
		for {
			out, err := h.root.ListUsers(ctx, &in)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, u := range out.Users {
				names = append(names, *u.UserName)
			}
			if !out.IsTruncated {
				return names, pages
			}
			in.Marker = out.Marker
		}
	}
	if names, pages := list(iam.ListUsersInput{MaxItems: aws.Int32(3)}); len(names) != 7 || pages != 3 || !slices.IsSorted(names) {
		t.Error(names, pages)
	}
	if names, pages := list(iam.ListUsersInput{MaxItems: aws.Int32(2), PathPrefix: aws.String("/a/")}); !slices.Equal(names, []string{"u0", "u2", "u4", "u6"}) || pages != 2 {
		t.Error(names, pages)
	}
	// Policies: the account's first, then AWS's, in pages of 5.
	if _, err := h.root.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("mine"), PolicyDocument: aws.String(allow(`"s3:GetObject"`, "*"))}); err != nil {
		t.Fatal(err)
	}
	for size := int32(1); size < 20; size++ {
		in, seen := &iam.ListPoliciesInput{MaxItems: &size}, map[string]bool{}
		for {
			out, err := h.root.ListPolicies(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range out.Policies {
				if seen[*p.Arn] {
					t.Errorf("%s twice", *p.Arn)
				}
				seen[*p.Arn] = true
			}
			if !out.IsTruncated {
				break
			}
			in.Marker = out.Marker
		}
		if len(seen) != 1+len(builtInARNs()) {
			t.Errorf("pages of %d: %d policies", size, len(seen))
		}
	}
	local, err := h.root.ListPolicies(ctx, &iam.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal})
	if err != nil || len(local.Policies) != 1 {
		t.Error(local, err)
	}
}

func TestRefusals(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	c := h.root
	if _, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("u")}); err != nil {
		t.Fatal(err)
	}
	put := func(doc string) error {
		_, err := c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("u"), PolicyName: aws.String("p"), PolicyDocument: &doc})
		return err
	}
	for doc, says := range map[string]string{
		`{`:                        "not valid JSON",
		`[]`:                       "Syntax errors",
		`{"Version":"2012-10-17"}`: "Syntax errors",
		`{"Version":"2020","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`:                                            "Version",
		`{"Statement":[{"Effect":"Allow","Action":"s3:*"}]}`:                                                                            "resources",
		`{"Statement":[{"Effect":"Allow","Resource":"*"}]}`:                                                                             "actions",
		`{"Statement":[{"effect":"Allow","Action":"s3:*","Resource":"*"}]}`:                                                             `no element "effect"`,
		`{"Statement":[{"Effect":"Deny","Effect":"Allow","Action":"s3:*","Resource":"*"}]}`:                                             "twice",
		`{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Conditon":{}}]}`:                                               `no element "Conditon"`,
		`{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEqual":{"aws:username":"x"}}}]}`:            "Syntax",
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}`:                                             "principal",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::${aws:PrincipalTag/team}/*"}]}`: "PrincipalTag/team",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username, 'x'}/*"}]}`:     "is not built",
		allow(`"s3:`+strings.Repeat("x", 2100)+`"`, "*"):                                                                                "Maximum policy size of 2048",
	} {
		err := put(doc)
		if c := code(err); c != "MalformedPolicyDocument" && c != "LimitExceeded" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", doc, err)
		}
	}
	if out, err := c.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: aws.String("u")}); err != nil || len(out.PolicyNames) != 0 {
		t.Errorf("a refused policy is there: %v %v", out, err)
	}
	_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("a/b")})
	want(t, err, "ValidationError", "userName")
	_, err = c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("x"), Path: aws.String("/*/")})
	want(t, err, "ValidationError", "path")
	_, err = c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("x"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
	want(t, err, "NotImplemented", "PermissionsBoundary")
	for _, trust := range []string{
		`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"alice"},"Action":"sts:AssumeRole"}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":{"Service":"evil"},"Action":"sts:AssumeRole"}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}`,
	} {
		_, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: &trust})
		want(t, err, "MalformedPolicyDocument", "")
	}
	_, err = c.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("g")})
	want(t, err, "NotImplemented", "CreateGroup of iam")
}

func TestAccessKeys(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	alice := h.as(t, "alice", allow(`"iam:*AccessKey*"`, "arn:aws:iam::000000000000:user/${aws:username}"))
	mine, err := alice.ListAccessKeys(ctx, &iam.ListAccessKeysInput{})
	if err != nil || len(mine.AccessKeyMetadata) != 1 {
		t.Fatal(mine, err)
	}
	second, err := alice.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = alice.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{})
	want(t, err, "LimitExceeded", "AccessKeysPerUser: 2")
	other := h.with(*second.AccessKey.AccessKeyId, *second.AccessKey.SecretAccessKey)
	if _, err = other.ListAccessKeys(ctx, &iam.ListAccessKeysInput{}); err != nil {
		t.Error(err)
	}
	_, err = h.root.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("alice")})
	want(t, err, "DeleteConflict", "access keys")

	set := func(status types.StatusType) {
		t.Helper()
		if _, err := alice.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{AccessKeyId: second.AccessKey.AccessKeyId, Status: status}); err != nil {
			t.Error(err)
		}
	}
	set(types.StatusTypeInactive)
	_, err = other.ListAccessKeys(ctx, &iam.ListAccessKeysInput{})
	want(t, err, "InvalidClientTokenId", "")
	set(types.StatusTypeActive)
	if _, err = other.ListAccessKeys(ctx, &iam.ListAccessKeysInput{}); err != nil {
		t.Error(err)
	}
	h.open(t) // what is on the disk is enough, and does not show the secret
	other = h.with(*second.AccessKey.AccessKeyId, *second.AccessKey.SecretAccessKey)
	if _, err = other.ListAccessKeys(ctx, &iam.ListAccessKeysInput{}); err != nil {
		t.Error(err)
	}
	if _, err = h.root.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("alice"), AccessKeyId: second.AccessKey.AccessKeyId}); err != nil {
		t.Error(err)
	}
	_, err = other.ListAccessKeys(ctx, &iam.ListAccessKeysInput{})
	want(t, err, "InvalidClientTokenId", "")
	_, err = h.root.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("alice"), AccessKeyId: second.AccessKey.AccessKeyId})
	want(t, err, "NoSuchEntity", "The Access Key with id")
}

func TestSecretsAreSealed(t *testing.T) {
	h := newHouse(t)
	if _, err := h.root.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("u")}); err != nil {
		t.Fatal(err)
	}
	out, err := h.root.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")})
	if err != nil {
		t.Fatal(err)
	}
	err = h.db.View(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT json FROM records`)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			var text []byte
			if err := rows.Scan(&text); err != nil {
				return err
			}
			n++
			if strings.Contains(string(text), *out.AccessKey.SecretAccessKey) {
				t.Errorf("the secret is in %s", text)
			}
		}
		if n == 0 {
			t.Error("nothing is stored")
		}
		return rows.Err()
	})
	if err != nil {
		t.Error(err)
	}
}

package wire_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"drover/internal/wire"
	"drover/internal/wire/wiretest"
)

// TestBotocoreNames: botocore minds the case of names in answers, which the Go SDK's XML
// does not, and builds its requests from models of its own. Every operation is called with
// every member; none may be lost that the Go SDK's types have.
func TestBotocoreNames(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Python four times")
	}
	if err := exec.Command("python3", "-c", "import boto3").Run(); err != nil {
		t.Skip("boto3 is not installed: ", err)
	}
	who, people := stsID, iamID
	people.Names = map[string]string{"ListDelegationRequestsOutput.IsTruncated": "isTruncated"}
	who.Names = map[string]string{"PolicyDescriptorType.Arn": "arn"}
	logs := logsID
	logs.Names = map[string]string{"DescribeDestinationsInput.DestinationNamePrefix": "DestinationNamePrefix"}
	const tags = "/v1/tags/{ResourceArn}"
	for _, k := range []struct {
		table *wire.Table[struct{}]
		// Not called: event streams, a union without members, and calls that botocore
		// does not sign.
		skip string
	}{
		{tableOf(t, batchID, &batch.Client{}, map[string][]wire.Option{"ListTagsForResource": {wire.GET(tags)}, "TagResource": {wire.POST(tags)}, "UntagResource": {wire.DELETE(tags, "TagKeys")}}), ""},
		{tableOf(t, logs, &cloudwatchlogs.Client{}, nil, "StartLiveTail", "GetLogObject"), "StartLiveTail,GetLogObject,PutIntegration"},
		{tableOf(t, who, &sts.Client{}, nil), "AssumeRoleWithSAML,AssumeRoleWithWebIdentity"},
		{tableOf(t, people, &iam.Client{}, nil), ""},
	} {
		t.Run(k.table.Identity().Name, func(t *testing.T) { botocoreNames(t, k.table, k.skip) })
	}
}

func botocoreNames(t *testing.T, table *wire.Table[struct{}], skip string) {
	types := map[string]wire.Operation{}
	unset := map[string][]string{} // members of the input that did not arrive
	svc := wire.Record(table, func(op wire.Name, in any) (any, error) {
		unset[string(op)] = zeroMembers(reflect.ValueOf(in).Elem())
		out := reflect.New(types[string(op)].Out)
		wiretest.Fill(out.Interface())
		return out.Interface(), nil
	})
	for _, op := range svc.Built() {
		types[string(op.Name)] = op
	}
	srv := httptest.NewServer(wiretest.NewMux(svc))
	defer srv.Close()
	cmd := exec.Command("python3", filepath.Join("testdata", "botocore_names.py"), srv.URL, table.Identity().Name, wiretest.Key.AccessKey, wiretest.Key.Secret, skip)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	n := 0
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var got struct {
			Op, Error  string
			Sent, Lost []string // members of the input that were set; of the output that were not seen
		}
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		op, ok := types[got.Op]
		if !ok {
			continue // newer than the pinned SDK
		}
		n++
		if got.Error != "" {
			t.Errorf("%s: %s", got.Op, got.Error)
			continue
		}
		known := memberNames(op.Out, nil, map[string]bool{})
		for _, path := range got.Lost {
			if known[strings.ToLower(path[strings.LastIndexByte(path, '.')+1:])] {
				t.Errorf("%s: botocore did not see %s in the answer", got.Op, path)
			}
		}
		for _, name := range got.Sent { // the pinned SDK may have members that this botocore lacks
			if slices.ContainsFunc(unset[got.Op], func(u string) bool { return strings.EqualFold(u, name) }) {
				t.Errorf("%s: botocore sent %s, which did not arrive", got.Op, name)
			}
		}
	}
	t.Logf("%d operations", n)
	if n == 0 {
		t.Error("no operation was called")
	}
}

// memberNames collects the names of all members below a type, in lower case, without
// those through which a type contains itself: they are left empty.
func memberNames(t reflect.Type, path []reflect.Type, into map[string]bool) map[string]bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return into
	}
	path = append(path, t)
	for i := range t.NumField() {
		f := t.Field(i)
		elem := f.Type
		for elem.Kind() == reflect.Pointer || elem.Kind() == reflect.Slice || elem.Kind() == reflect.Map {
			elem = elem.Elem()
		}
		if f.IsExported() && f.Name != "ResultMetadata" && elem.Kind() != reflect.Interface && !slices.Contains(path, elem) {
			into[strings.ToLower(f.Name)] = true
			memberNames(elem, path, into)
		}
	}
	return into
}

// zeroMembers lists the members at the top of an input that have no value.
func zeroMembers(v reflect.Value) []string {
	var names []string
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && f.Type.Kind() != reflect.Interface && v.Field(i).IsZero() {
			names = append(names, f.Name)
		}
	}
	return names
}

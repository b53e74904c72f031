package s3

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/store"
	"drover/internal/store/storetest"
)

// Rules come back as they were put, and what drover cannot do is refused with the reason.
func TestLifecycleConfiguration(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("rules")
	if _, err := r.client.GetBucketLifecycleConfiguration(ctx, &awss3.GetBucketLifecycleConfigurationInput{Bucket: &b}); code(err) != "NoSuchLifecycleConfiguration" {
		t.Errorf("without rules: %v", err)
	}
	put := func(rules ...types.LifecycleRule) error {
		_, err := r.client.PutBucketLifecycleConfiguration(ctx, &awss3.PutBucketLifecycleConfigurationInput{Bucket: &b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
		return err
	}
	date := time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
	rules := []types.LifecycleRule{
		{ID: aws.String("logs"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("logs/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(30)}},
		{ID: aws.String("and"), Status: "Disabled", Filter: &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{Prefix: aws.String("a&b/"), ObjectSizeGreaterThan: aws.Int64(10), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}, {Key: aws.String("l"), Value: aws.String("<")}}}},
			Expiration: &types.LifecycleExpiration{Date: &date}},
		{ID: aws.String("old"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{}, NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(7), NewerNoncurrentVersions: aws.Int32(2)},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(3)}},
	}
	if err := put(rules...); err != nil {
		t.Fatal(err)
	}
	out, err := r.client.GetBucketLifecycleConfiguration(ctx, &awss3.GetBucketLifecycleConfigurationInput{Bucket: &b})
	if err != nil || len(out.Rules) != 3 {
		t.Fatalf("%+v, %v", out, err)
	}
	one, two, three := out.Rules[0], out.Rules[1], out.Rules[2]
	if *one.Filter.Prefix != "logs/" || *one.Expiration.Days != 30 || two.Status != "Disabled" || *two.Filter.And.Prefix != "a&b/" || *two.Filter.And.ObjectSizeGreaterThan != 10 || *two.Filter.And.Tags[1].Value != "<" ||
		!two.Expiration.Date.Equal(date) || *three.NoncurrentVersionExpiration.NewerNoncurrentVersions != 2 || *three.AbortIncompleteMultipartUpload.DaysAfterInitiation != 3 {
		t.Errorf("%+v", out.Rules)
	}
	all := &types.LifecycleRuleFilter{}
	for want, rule := range map[string]types.LifecycleRule{
		"one storage class":   {Status: "Enabled", Filter: all, Transitions: []types.Transition{{Days: aws.Int32(1), StorageClass: "GLACIER"}}},
		"At least one action": {Status: "Enabled", Filter: all}, "positive integer": {Status: "Enabled", Filter: all, Expiration: &types.LifecycleExpiration{Days: aws.Int32(-1)}},
		"midnight": {Status: "Enabled", Filter: all, Expiration: &types.LifecycleExpiration{Date: aws.Time(date.Add(time.Hour))}}, "Enabled or Disabled": {Status: "On", Filter: all, Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)}},
	} {
		if err := put(rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := r.client.DeleteBucketLifecycle(ctx, &awss3.DeleteBucketLifecycleInput{Bucket: &b}); err != nil {
		t.Error(err)
	}
	if err := put(rules[0]); err != nil {
		t.Error(err)
	}
	res, err := http.Get(r.url + "/rules?lifecycle")
	if err != nil || res.StatusCode != 403 {
		t.Errorf("anonymous: %v, %v", res.Status, err)
	}
	res.Body.Close()
}

// Rules remove what is old enough and fits, and nothing else, on both engines.
func TestExpire(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := openVaultOn(t, db, nil)
		s := &Service{vault: v}
		now := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
		v.now = func() time.Time { return now }
		rules := func(b, doc string) {
			t.Helper()
			l, err := readLifecycle([]byte("<LifecycleConfiguration>" + doc + "</LifecycleConfiguration>"))
			if err == nil {
				err = v.putLifecycle(ctx, b, l)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		make := func(b string) {
			t.Helper()
			if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b}, nil); err != nil {
				t.Fatal(err)
			}
		}
		put := func(b, key, body, tags string) {
			t.Helper()
			if _, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: &b, Key: &key, Body: strings.NewReader(body), Tagging: &tags}); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(what string, want Expired, b string, keys ...string) {
			t.Helper()
			got, err := s.Expire(ctx)
			got.Bytes = 0 // see TestHousekeeping
			if err != nil || got != want {
				t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
			}
			page, err := v.list(ctx, b, "", "", "", 1000, false)
			var have []string
			for _, o := range page.objects {
				have = append(have, *o.Key)
			}
			if err != nil || !slices.Equal(have, keys) {
				t.Errorf("%s: left are %q, want %q", what, have, keys)
			}
		}
		day := 24 * time.Hour
		make("plain")
		rules("plain", `<Rule><Status>Enabled</Status><Filter><Prefix>logs/</Prefix></Filter><Expiration><Days>3</Days></Expiration></Rule>
			<Rule><Status>Enabled</Status><Filter><And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><Tag><Key>tmp</Key><Value>yes</Value></Tag></And></Filter><Expiration><Days>1</Days></Expiration></Rule>
			<Rule><Status>Disabled</Status><Filter/><Expiration><Days>1</Days></Expiration></Rule>
			<Rule><Status>Enabled</Status><Prefix>up/</Prefix><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`)
		put("plain", "keep", "x", "")
		put("plain", "logs/1", strings.Repeat("x", inlineSize+1), "")
		put("plain", "small", "x", "tmp=yes")
		put("plain", "tagged", "larger than five", "tmp=yes")
		for _, key := range []string{"up/1", "other/1"} {
			if _, err := v.CreateMultipartUpload(ctx, s3response.CreateMultipartUploadInput{Bucket: aws.String("plain"), Key: &key}); err != nil {
				t.Fatal(err)
			}
		}
		expect("at once", Expired{}, "plain", "keep", "logs/1", "small", "tagged")
		now = now.Add(day)
		expect("a day later, before midnight", Expired{}, "plain", "keep", "logs/1", "small", "tagged")
		now = now.Add(day / 2)
		expect("after that midnight", Expired{Objects: 1}, "plain", "keep", "logs/1", "small")
		now = now.Add(day)
		put("plain", "logs/2", "x", "")
		expect("uploads", Expired{Uploads: 1}, "plain", "keep", "logs/1", "logs/2", "small")
		now = now.Add(2 * day)
		expect("logs", Expired{Objects: 1}, "plain", "keep", "logs/2", "small")
		if err := v.putLifecycle(ctx, "plain", nil); err != nil {
			t.Fatal(err)
		}
		expectVersionedExpiry(t, v, s, &now)
	})
}

func expectVersionedExpiry(t *testing.T, v *vault, s *Service, now *time.Time) {
	t.Helper()
	b, day := "versioned", 24*time.Hour
	if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b, ObjectLockEnabledForBucket: aws.Bool(true)}, nil); err != nil {
		t.Fatal(err)
	}
	l, err := readLifecycle([]byte(`<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter/><Expiration><Days>10</Days></Expiration>
		<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule></LifecycleConfiguration>`))
	if err == nil {
		err = v.putLifecycle(ctx, b, l)
	}
	if err != nil {
		t.Fatal(err)
	}
	var vids []string
	for i := range 4 {
		out, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: &b, Key: aws.String("k"), Body: strings.NewReader(fmt.Sprint(i))})
		if err != nil {
			t.Fatal(err)
		}
		vids = append(vids, out.VersionID)
		*now = now.Add(time.Second)
	}
	if err := v.PutObjectLegalHold(ctx, b, "k", vids[0], true); err != nil {
		t.Fatal(err)
	}
	versions := func() string {
		out, err := v.ListObjectVersions(ctx, &awss3.ListObjectVersionsInput{Bucket: &b})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d versions, %d markers", len(out.Versions), len(out.DeleteMarkers))
	}
	for _, step := range []struct {
		after time.Duration
		want  Expired
		left  string
	}{
		{3 * day, Expired{Versions: 1}, "3 versions, 0 markers"}, // of three old ones the newest is kept and the oldest is held
		{8 * day, Expired{Objects: 1}, "3 versions, 1 markers"},
		{3 * day, Expired{Versions: 1}, "2 versions, 1 markers"}, // one newer is kept: the one that expired
	} {
		*now = now.Add(step.after)
		got, err := s.Expire(ctx)
		got.Bytes = 0 // see TestHousekeeping
		if err != nil || got != step.want || versions() != step.left {
			t.Errorf("after %v: %+v, %v, %s; want %+v, %s", step.after, got, err, versions(), step.want, step.left)
		}
	}
	if err := v.PutObjectLegalHold(ctx, b, "k", vids[0], false); err != nil {
		t.Fatal(err)
	}
	if _, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b, Key: aws.String("k"), VersionId: &vids[3]}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b, Key: aws.String("k"), VersionId: &vids[0]}); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(12 * day)
	if got, err := s.Expire(ctx); err != nil || got != (Expired{Markers: 1}) || versions() != "0 versions, 0 markers" {
		t.Errorf("a marker with nothing behind it: %+v, %v, %s", got, err, versions())
	}
}

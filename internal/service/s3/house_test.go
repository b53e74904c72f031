package s3

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"drover/internal/core/upkeep"
)

// What housekeeping did is remembered over a restart, and it is done again when it is due or
// asked for.
func TestHousekeeping(t *testing.T) {
	r := open(t, nil)
	now := time.Now()
	r.s.vault.now = func() time.Time { return now }
	r.bucket("logs")
	r.bucket("plain")
	b := aws.String("logs")
	if _, err := r.client.PutBucketLifecycleConfiguration(ctx, &awss3.PutBucketLifecycleConfigurationInput{Bucket: b, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{
		{ID: aws.String("old"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{Prefix: aws.String("day/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)}},
		{ID: aws.String("stuck"), Status: "Enabled", Filter: &types.LifecycleRuleFilter{}, AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(2)}},
		{ID: aws.String("off"), Status: "Disabled", Filter: &types.LifecycleRuleFilter{ObjectSizeGreaterThan: aws.Int64(9)}, NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(3), NewerNoncurrentVersions: aws.Int32(5)}},
	}}}); err != nil {
		t.Fatal(err)
	}
	put := func(key, body string) {
		t.Helper()
		if _, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: &key, Body: strings.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	put("day/1", "12345")
	put("keep", "1")
	up, err := r.client.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("up")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.UploadPart(ctx, &awss3.UploadPartInput{Bucket: b, Key: aws.String("up"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("1234567")}); err != nil {
		t.Fatal(err)
	}
	house := func(s *Service) *upkeep.House {
		t.Helper()
		h, err := s.House(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := house(r.s)
	if h.Lifecycle.Last != 0 || h.Sweep.Last != 0 || h.Lifecycle.Next != now.UnixMicro() || len(h.Buckets) != 1 || len(h.Buckets[0].Rules) != 3 {
		t.Fatalf("before the first time: %+v", h)
	}
	for i, want := range []upkeep.Rule{
		{ID: "old", Enabled: true, Which: `keys that begin with "day/"`, Does: "expire after 1 day"},
		{ID: "stuck", Enabled: true, Which: "all objects", Does: "abort uploads after 2 days"},
		{ID: "off", Which: "all objects, above 9 bytes", Does: "remove old versions after 3 days but the newest 5"},
	} {
		if got := h.Buckets[0].Rules[i]; got != want {
			t.Errorf("rule %+v, want %+v", got, want)
		}
	}
	if err := r.s.KeepHouse(ctx, false); err != nil { // never done: due
		t.Fatal(err)
	}
	if h = house(r.s); h.Lifecycle.Last != now.UnixMicro() || h.Lifecycle.Next != now.Add(expireEvery).UnixMicro() || h.Sweep.Next != now.Add(sweepEvery).UnixMicro() || h.Buckets[0].Expired != (Expired{}) {
		t.Errorf("after the first time: %+v", h)
	}
	first := now
	now = now.Add(expireEvery / 2)
	if err := r.s.KeepHouse(ctx, false); err != nil {
		t.Fatal(err)
	}
	if h = house(r.s); h.Lifecycle.Last != first.UnixMicro() {
		t.Error("it was done again before it was due")
	}
	now = now.Add(4 * 24 * time.Hour)
	if err := r.s.KeepHouse(ctx, false); err != nil {
		t.Fatal(err)
	}
	h = house(r.s)
	if got, want := h.Buckets[0].Expired, (Expired{Objects: 1, Uploads: 1, Bytes: 12}); got != want || h.Buckets[0].Last != now.UnixMicro() || h.Sweep.Last != now.UnixMicro() {
		t.Errorf("days later: %+v, want %+v; %+v", got, want, h)
	}
	again, err := Open(ctx, Options{Dir: t.TempDir(), Region: "drover-1", Account: testAccount, DB: r.s.vault.db})
	if err != nil {
		t.Fatal(err)
	}
	again.vault.now = r.s.vault.now
	if got := house(again); got.Lifecycle.Last != h.Lifecycle.Last || got.Buckets[0].Expired != h.Buckets[0].Expired {
		t.Errorf("after a restart: %+v", got)
	}
	if err := r.s.KeepHouse(ctx, true); err != nil {
		t.Fatal(err)
	}
	if h = house(r.s); h.Buckets[0].Expired != (Expired{}) {
		t.Errorf("nothing is due, and %+v went", h.Buckets[0].Expired)
	}
}

// A check in parts reads everything once, at no more than its rate.
func TestVerifySome(t *testing.T) {
	r := open(t, nil)
	r.bucket("one")
	r.bucket("two")
	for _, k := range []string{"a", "b", "c"} {
		for _, b := range []string{"one", "two"} {
			if _, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: &k, Body: strings.NewReader(strings.Repeat(k, 50_000))}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all Verified
	parts := 0
	began := time.Now()
	for from := (&upkeep.Place{}); from != nil; parts++ {
		v, next, err := r.s.VerifySome(ctx, *from, time.Nanosecond, 1_000_000, func(d Damaged) { t.Errorf("%+v", d) })
		if err != nil {
			t.Fatal(err)
		}
		all.Objects += v.Objects
		all.Bytes += v.Bytes
		from = next
	}
	if all.Objects != 6 || all.Bytes != 300_000 || parts < 6 {
		t.Errorf("%+v in %d parts", all, parts)
	}
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("300,000 bytes at 1,000,000 a second took %v", took)
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"drover/internal/service/native"
	dbstore "drover/internal/store"
)

// fill writes rows of objects into the database of a server that does not run: a million
// requests would take minutes.
func fill(data, bucket string, n int, key func(int) string) error {
	ctx := context.Background()
	db, err := dbstore.Open(ctx, filepath.Join(data, "objects", "objects.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	const group = 10_000
	for lo := 0; lo < n; lo += group {
		err := db.Update(ctx, func(tx *dbstore.Tx) error {
			var id int64
			if err := tx.Row(`SELECT id FROM s3_buckets WHERE name = $1`, bucket).Scan(&id); err != nil {
				return err
			}
			for i := lo; i < min(lo+group, n); i++ {
				if _, err := tx.Exec(`INSERT INTO s3_objects (bucket, key, rank, vid, marker, modified, size, etag, algo, crc, place, attrs, tags) VALUES ($1, $2, $3, 'null', 0, $4, 0, $5, '', 0, '', '{"type":"application/json"}', '')`,
					id, []byte(key(i)), -int64(i+1), time.Now().UnixMicro(), `"d41d8cd98f00b204e9800998ecf8427e"`); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// follow reads events of objects until it has seen each of n keys once.
func follow(s *store, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	seen := map[string]bool{}
	in := &native.ListObjectEventsInput{After: aws.Int64(0), WaitSeconds: aws.Int32(5), Bucket: aws.String("gone")}
	for len(seen) < n {
		out, err := native.Call[native.ListObjectEventsOutput](ctx, s.Client, "ListObjectEvents", in)
		if err != nil {
			return err
		}
		for _, e := range out.Events {
			var r struct {
				S3 struct{ Object struct{ Key string } }
			}
			if err := json.Unmarshal([]byte(e), &r); err != nil {
				return err
			}
			if seen[r.S3.Object.Key] {
				return fmt.Errorf("%s was told twice", r.S3.Object.Key)
			}
			seen[r.S3.Object.Key] = true
		}
		in.After = &out.Next
	}
	return nil
}

// Package arn names things the way AWS does: arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE.
package arn

import "strings"

// ARN is a parsed name. Partition is always "aws" (clients test for it).
type ARN struct {
	Service, Region, Account, Resource string
}

// String writes the ARN.
func (a ARN) String() string {
	return "arn:aws:" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// Parse reads an ARN; ok is false if s is none or of another partition.
func Parse(s string) (a ARN, ok bool) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] != "aws" || p[2] == "" || p[5] == "" {
		return ARN{}, false
	}
	return ARN{Service: p[2], Region: p[3], Account: p[4], Resource: p[5]}, true
}

// Kind splits a resource such as "job-queue/high" at its first slash.
func (a ARN) Kind() (kind, name string) {
	kind, name, _ = strings.Cut(a.Resource, "/")
	return kind, name
}

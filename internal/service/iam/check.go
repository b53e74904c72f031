package iam

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"drover/internal/core/fault"
	"drover/internal/wire/authz/policy"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

var (
	namePattern = regexp.MustCompile(`\A[\w+=,.@-]+\z`)
	pathPattern = regexp.MustCompile(`\A(/|/[!-~]+/)\z`)
)

// checkName checks the name of a thing that AWS calls by the member's name.
func checkName(member, name string, most int) error {
	switch {
	case len(name) > most:
		return invalid("1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", member, most)
	case !namePattern.MatchString(name):
		return invalid("The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", member)
	}
	return nil
}

// checkPath gives the path, "/" if there is none. A wildcard in a path would be one in the
// ARNs that policies compare.
func checkPath(path *string) (string, error) {
	p := aws.ToString(path)
	switch {
	case p == "":
		return "/", nil
	case len(p) > 512 || !pathPattern.MatchString(p) || strings.ContainsAny(p, "*?${}"):
		return "", invalid("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return p, nil
}

func checkPrefix(prefix *string) (string, error) {
	p := aws.ToString(prefix)
	if p != "" && (p[0] != '/' || len(p) > 512) {
		return "", invalid("The specified value for pathPrefix is invalid. It must begin with /.")
	}
	return p, nil
}

// checkText checks the letters of a policy document; its meaning is checked by policy.
func checkText(text string) error {
	for _, r := range text {
		if r != '\t' && r != '\n' && r != '\r' && (r < ' ' || r > 0xff) {
			return invalid("The specified value for policyDocument is invalid. It must contain only printable ASCII and Latin-1 characters.")
		}
	}
	return nil
}

// checkPolicy checks an identity policy.
func checkPolicy(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	_, err := policy.Parse(text)
	return err
}

// checkTrust checks a role's trust policy.
func checkTrust(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	if n := weight(text); n > maxTrustText {
		return tooMany("Cannot exceed quota for ACLSizePerRole: %d", maxTrustText)
	}
	_, err := policy.ParseTrust(text)
	return err
}

// weight counts a document as quotas do: without white space.
func weight(text string) int {
	n := 0
	for _, r := range text {
		if r != ' ' && r != '\t' && r != '\n' && r != '\r' {
			n++
		}
	}
	return n
}

// encoded is a document as answers carry it (RFC 3986).
func encoded(text string) *string {
	return aws.String(strings.ReplaceAll(url.QueryEscape(text), "+", "%20"))
}

func readTags(list []types.Tag) ([]tag, error) { return mergeTags(nil, list) }

// mergeTags puts tags over those that are there. Keys differ only if they differ in more
// than letter case.
func mergeTags(have []tag, list []types.Tag) ([]tag, error) {
	out := slices.Clone(have)
	for i, t := range list {
		k, v := aws.ToString(t.Key), aws.ToString(t.Value)
		switch {
		case k == "" || utf8.RuneCountInString(k) > 128:
			return nil, invalid("1 validation error detected: Value at 'tags.%d.member.key' must have 1 to 128 characters", i+1)
		case utf8.RuneCountInString(v) > 256:
			return nil, invalid("1 validation error detected: Value at 'tags.%d.member.value' must have at most 256 characters", i+1)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return nil, fault.New(fault.Invalid, "InvalidInput", "Tag keys that begin with aws: are reserved.")
		}
		for _, earlier := range list[:i] {
			if strings.EqualFold(aws.ToString(earlier.Key), k) {
				return nil, fault.New(fault.Invalid, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
			}
		}
		if at := tagAt(out, k); at >= 0 {
			out[at] = tag{k, v}
		} else {
			out = append(out, tag{k, v})
		}
	}
	if len(out) > maxTags {
		return nil, tooMany("The number of tags has reached the maximum limit: %d", maxTags)
	}
	return out, nil
}

func tagAt(list []tag, key string) int {
	return slices.IndexFunc(list, func(t tag) bool { return strings.EqualFold(t.Key, key) })
}

func writeTags(list []tag) []types.Tag {
	var out []types.Tag
	for _, t := range list {
		out = append(out, types.Tag{Key: aws.String(t.Key), Value: aws.String(t.Value)})
	}
	return out
}

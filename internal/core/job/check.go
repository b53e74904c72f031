package job

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"drover/internal/core/fault"
)

// invalid is the refusal of a request that breaks a rule, under the one code that AWS
// Batch has for it. Where a client is known to match AWS's words, they are those words.
func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "ClientException", format, args...)
}

// Revision writes a definition's name with its revision, as "name:3".
func Revision(name string, revision int32) string {
	return name + ":" + strconv.Itoa(int(revision))
}

// ParseRevision reads "name" or "name:revision"; the revision is 0 if there is none.
func ParseRevision(s string) (name string, revision int32, ok bool) {
	name, rev, has := strings.Cut(s, ":")
	if !has {
		return name, 0, ValidName(name)
	}
	n, err := strconv.ParseInt(rev, 10, 32)
	if err != nil || n < 1 || rev != strconv.Itoa(int(n)) {
		return name, 0, false
	}
	return name, int32(n), ValidName(name)
}

// ValidName reports whether s can name a definition, queue or compute environment: 1 to
// 128 letters, digits, "-" and "_".
func ValidName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// ValidJobName reports whether s can name a job: a valid name that begins with a letter or
// a digit.
func ValidJobName(s string) bool { return ValidName(s) && alphanumeric(s[0]) }

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// The bounds that hold under every set of limits.
const (
	MaxAttempts    = 10
	MaxRules       = 5
	MaxPattern     = 512
	MaxTags        = 50
	MaxTagKey      = 128
	MaxTagValue    = 256
	MaxPriority    = 9999
	MaxReasonChars = 1024
)

// Check says what is wrong with a retry strategy; nil if nothing is.
func (r Retry) Check() error {
	if r.Attempts < 1 || r.Attempts > MaxAttempts {
		return invalid("Error executing request, Exception : Retry attempts must be between 1 and %d, got %d", MaxAttempts, r.Attempts)
	}
	if len(r.Rules) > MaxRules {
		return invalid("evaluateOnExit has %d entries, at most %d are allowed", len(r.Rules), MaxRules)
	}
	for i, rule := range r.Rules {
		if rule.StatusReason == "" && rule.Reason == "" && rule.ExitCode == "" {
			return invalid("evaluateOnExit entry %d has no condition: give onStatusReason, onReason or onExitCode", i+1)
		}
		if err := checkPattern("onStatusReason", rule.StatusReason); err != nil {
			return err
		}
		if err := checkPattern("onReason", rule.Reason); err != nil {
			return err
		}
		if err := checkPattern("onExitCode", rule.ExitCode); err != nil {
			return err
		}
		if strings.Trim(strings.TrimSuffix(rule.ExitCode, "*"), "0123456789") != "" {
			return invalid("onExitCode %q must be digits with an optional * at the end", rule.ExitCode)
		}
	}
	return nil
}

func checkPattern(member, p string) error {
	if utf8.RuneCountInString(p) > MaxPattern {
		return invalid("%s has %d characters, at most %d are allowed", member, utf8.RuneCountInString(p), MaxPattern)
	}
	if strings.Contains(strings.TrimSuffix(p, "*"), "*") {
		return invalid("%s %q may have a * only at its end", member, p)
	}
	return nil
}

// CheckVariable says what is wrong with an environment variable's name; nil if nothing is.
func CheckVariable(name string) error {
	switch {
	case name == "":
		return invalid("an environment variable has no name")
	case strings.HasPrefix(name, "AWS_BATCH"):
		return invalid("Environment variable name %s is reserved: names must not start with AWS_BATCH", name)
	case strings.Contains(name, "="):
		return invalid("environment variable name %q must not contain =", name)
	}
	return CheckText("an environment variable name", name)
}

// CheckText refuses a NUL character, which no command line, environment or database holds.
func CheckText(member, s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return invalid("%s must not contain NUL characters", member)
	}
	return nil
}

// CheckTag says what is wrong with one tag; nil if nothing is.
func CheckTag(key, value string) error {
	switch {
	case key == "" || utf8.RuneCountInString(key) > MaxTagKey:
		return invalid("tag key %q must have 1 to %d characters", key, MaxTagKey)
	case utf8.RuneCountInString(value) > MaxTagValue:
		return invalid("the value of tag %q has %d characters, at most %d are allowed", key, utf8.RuneCountInString(value), MaxTagValue)
	case len(key) >= 4 && strings.EqualFold(key[:4], "aws:"):
		return invalid("tag key %q is reserved: keys must not start with aws:", key)
	}
	return CheckText("a tag", key+value)
}

package worker

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

const maxErrorLine = 512

const mask = "****"

// What looks like a secret. Each pattern keeps its first and second group and masks the
// rest.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`()\b(?:AKIA|ASIA|AROA|AIDA|DKIA|DSIA)[A-Z0-9]{8,}\b`),
	regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`(?i)([A-Za-z0-9_.-]*(?:passwor[dt]|passwd|pwd|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|signature)[A-Za-z0-9_.-]*["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s,;&"']+)`),
	regexp.MustCompile(`(\b[a-z][a-z0-9+.-]*://[^\s/:@]+:)[^\s/@]+(@)`),
	regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?`),
	regexp.MustCompile(`()\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk-)[A-Za-z0-9_-]{10,}`),
}

// ErrorLine makes a line of output fit to stand in reports: at most 512 bytes of printable
// UTF-8, with everything that looks like a secret masked.
func ErrorLine(line []byte) string {
	s := strings.ToValidUTF8(string(line[:min(len(line), lastLineKept)]), "\uFFFD")
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s))
	for _, p := range secrets {
		s = p.ReplaceAllString(s, "${1}"+mask+"${2}")
	}
	if len(s) <= maxErrorLine {
		return s
	}
	n := maxErrorLine - len("…")
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

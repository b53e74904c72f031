package logs

import (
	"regexp"
	"slices"
	"strings"
)

// maxPattern is the longest filter pattern that CloudWatch Logs takes.
const maxPattern = 1024

// pattern is a filter pattern for text: terms that must all occur, terms of which one
// must occur, terms that must not, and regular expressions that must match. Terms are
// found anywhere in the text, letter case counts.
type pattern struct {
	all, any, none []string
	regexps        []*regexp.Regexp
}

// parsePattern reads a filter pattern:
//
//	term "a phrase"   all must occur
//	-term -"a phrase" must not occur
//	?term ?"a phrase" one must occur; ignored beside plain terms, as in CloudWatch Logs
//	%regexp%          must match
//
// Patterns for JSON { $.x = 1 } and for columns [a, b] are refused.
func parsePattern(s string) (*pattern, error) {
	if len(s) > maxPattern {
		return nil, invalid("1 validation error detected: Value at 'filterPattern' failed to satisfy constraint: Member must have length less than or equal to %d", maxPattern)
	}
	p := &pattern{}
	rest := strings.TrimLeft(s, spaces)
	switch {
	case strings.HasPrefix(rest, "{"):
		return nil, refusePattern("JSON patterns such as { $.level = \"ERROR\" }")
	case strings.HasPrefix(rest, "["):
		return nil, refusePattern("column patterns such as [ip, user, status]")
	}
	for rest != "" {
		var err error
		if rest, err = p.term(rest); err != nil {
			return nil, err
		}
		rest = strings.TrimLeft(rest, spaces)
	}
	if len(p.all) > 0 {
		p.any = nil
	}
	return p, nil
}

const spaces = " \t\r\n"

func refusePattern(what string) error {
	return invalid("Invalid filter pattern: drover does not have %s yet; use plain terms, \"quoted phrases\", -excluded, ?either ?or, or %%regular expression%%", what)
}

func badPattern(why string) error { return invalid("Invalid filter pattern: %s", why) }

// term takes one term off the front of rest, which is not empty and starts with no space.
func (p *pattern) term(rest string) (string, error) {
	if rest[0] == '%' {
		return p.regexp(rest[1:])
	}
	list := &p.all
	switch rest[0] {
	case '-':
		list, rest = &p.none, rest[1:]
	case '?':
		list, rest = &p.any, rest[1:]
	}
	var text string
	if strings.HasPrefix(rest, `"`) {
		var ok bool
		if text, rest, ok = phrase(rest[1:]); !ok {
			return "", badPattern("a quoted phrase has no closing quote")
		}
	} else {
		end := strings.IndexAny(rest, spaces)
		if end < 0 {
			end = len(rest)
		}
		text, rest = rest[:end], rest[end:]
		if text == "" {
			return "", badPattern("- and ? must stand right before a term")
		}
	}
	if text != "" {
		*list = append(*list, text)
	}
	return rest, nil
}

// phrase reads up to the closing quote; a backslash takes the next byte as it is.
func phrase(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// regexpChars are what CloudWatch Logs allows in a regular expression beside letters and digits.
const regexpChars = `:_#=@/;,-^$?[]{}|\*+. `

func (p *pattern) regexp(s string) (string, error) {
	expr, rest, ok := strings.Cut(s, "%")
	if !ok {
		return "", badPattern("a regular expression has no closing %")
	}
	for _, r := range expr {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune(regexpChars, r) {
			return "", badPattern("the character " + string(r) + " is not allowed in a regular expression")
		}
	}
	re, err := regexp.Compile(expr)
	if err != nil || len(p.regexps) == 2 {
		return "", badPattern("at most two regular expressions, each of them well formed, are allowed")
	}
	p.regexps = append(p.regexps, re)
	return rest, nil
}

// matches reports whether the pattern matches the text of an event.
func (p *pattern) matches(text string) bool {
	in := func(term string) bool { return strings.Contains(text, term) }
	for _, term := range p.all {
		if !in(term) {
			return false
		}
	}
	for _, re := range p.regexps {
		if !re.MatchString(text) {
			return false
		}
	}
	return !slices.ContainsFunc(p.none, in) && (len(p.any) == 0 || slices.ContainsFunc(p.any, in))
}

package job

import "strings"

const placeholder = "Ref::"

// Substitute replaces Ref::name in the words of a command by the parameter of that name.
//
// A word that is nothing but a placeholder must have its parameter (AWS refuses the job
// otherwise). Inside a longer word an unknown name is left as it is, because such a word
// may be a script in which "Ref::" means something else. A name is the longest run of
// letters, digits, "_", "-" and "." that is a parameter when cut before a "-" or ".":
// "Ref::date.csv" finds "date.csv", else "date". Values are not searched again.
func Substitute(command []string, parameters map[string]string) ([]string, error) {
	first := -1
	for i, word := range command {
		if strings.Contains(word, placeholder) {
			first = i
			break
		}
	}
	if first < 0 {
		return command, nil
	}
	out := make([]string, len(command))
	copy(out, command[:first])
	for i := first; i < len(command); i++ {
		word := command[i]
		if name, ok := strings.CutPrefix(word, placeholder); ok && name != "" && nameRun(name) == len(name) {
			if _, known := lookup(name, parameters); known == 0 {
				return nil, invalid("Unable to substitute value. No parameter found for reference %s", name)
			}
		}
		out[i] = expand(word, parameters)
	}
	return out, nil
}

func expand(word string, parameters map[string]string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(word, placeholder)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		value, n := lookup(after[:nameRun(after)], parameters)
		if n == 0 {
			b.WriteString(placeholder)
		} else {
			b.WriteString(value)
		}
		word = after[n:]
	}
}

// lookup finds the parameter whose name run starts with, and the length of that name;
// 0 if there is none.
func lookup(run string, parameters map[string]string) (string, int) {
	for run != "" {
		if v, ok := parameters[run]; ok {
			return v, len(run)
		}
		run = run[:max(strings.LastIndexAny(run, "-."), 0)]
	}
	return "", 0
}

// nameRun is the length of the run of name characters that s starts with.
func nameRun(s string) int {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return i
		}
	}
	return len(s)
}

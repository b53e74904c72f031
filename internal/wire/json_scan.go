package wire

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func (d *jsonDecoder) blank() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\r', '\n':
			d.pos++
		default:
			return
		}
	}
}

// next is the first byte of the next token; 0 at the end.
func (d *jsonDecoder) next() byte {
	d.blank()
	if d.pos == len(d.data) {
		return 0
	}
	return d.data[d.pos]
}

func (d *jsonDecoder) enter() error {
	if d.depth++; d.depth > maxDepth {
		return d.fail("nested more than %d deep", maxDepth)
	}
	return nil
}

// object walks the members of an object; each gets the key, valid until the next token.
func (d *jsonDecoder) object(each func(key []byte) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	d.pos++
	if d.next() == '}' {
		d.pos++
		d.depth--
		return nil
	}
	for {
		if d.next() != '"' {
			return d.fail("expected a member name at byte %d", d.pos)
		}
		key, err := d.text()
		if err != nil {
			return err
		}
		if d.next() != ':' {
			return d.fail("expected ':' at byte %d", d.pos)
		}
		d.pos++
		if err := each(key); err != nil {
			return err
		}
		switch d.next() {
		case ',':
			d.pos++
		case '}':
			d.pos++
			d.depth--
			return nil
		default:
			return d.fail("expected ',' or '}' at byte %d", d.pos)
		}
	}
}

func (d *jsonDecoder) array(each func(i int) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	d.pos++
	if d.next() == ']' {
		d.pos++
		d.depth--
		return nil
	}
	for i := 0; ; i++ {
		if err := each(i); err != nil {
			return err
		}
		switch d.next() {
		case ',':
			d.pos++
		case ']':
			d.pos++
			d.depth--
			return nil
		default:
			return d.fail("expected ',' or ']' at byte %d", d.pos)
		}
	}
}

func (d *jsonDecoder) mistyped(want string) error {
	if d.pos == len(d.data) {
		return d.fail("the JSON text ends too early")
	}
	have := "something that is no JSON"
	switch c := d.data[d.pos]; {
	case c == '"':
		have = "a string"
	case c == '{':
		have = "an object"
	case c == '[':
		have = "a list"
	case c == 't', c == 'f':
		have = "a boolean"
	case c == 'n':
		have = "null"
	case c == '-', '0' <= c && c <= '9':
		have = "a number"
	}
	return d.fail("expected %s, got %s", want, have)
}

func (d *jsonDecoder) word(w string) error {
	if len(d.data)-d.pos < len(w) || string(d.data[d.pos:d.pos+len(w)]) != w {
		return d.fail("expected %s at byte %d", w, d.pos)
	}
	d.pos += len(w)
	return nil
}

// number scans a JSON number and reports whether it is written as a whole number.
func (d *jsonDecoder) number() (text []byte, whole bool, err error) {
	start := d.pos
	digits := func() bool {
		from := d.pos
		for d.pos < len(d.data) && d.data[d.pos] >= '0' && d.data[d.pos] <= '9' {
			d.pos++
		}
		return d.pos > from
	}
	is := func(chars string) bool {
		for i := range len(chars) {
			if d.pos < len(d.data) && d.data[d.pos] == chars[i] {
				d.pos++
				return true
			}
		}
		return false
	}
	is("-")
	zero := d.pos < len(d.data) && d.data[d.pos] == '0'
	from := d.pos
	if !digits() || zero && d.pos-from > 1 {
		return nil, false, d.fail("malformed number at byte %d", start)
	}
	whole = true
	if is(".") {
		whole = false
		if !digits() {
			return nil, false, d.fail("malformed number at byte %d", start)
		}
	}
	if is("eE") {
		whole = false
		if is("+-"); !digits() {
			return nil, false, d.fail("malformed number at byte %d", start)
		}
	}
	if d.pos-start > 400 {
		return nil, false, d.fail("a number of %d characters", d.pos-start)
	}
	return d.data[start:d.pos], whole, nil
}

// skip passes over a value nobody wants, checking its syntax.
func (d *jsonDecoder) skip() error {
	switch c := d.next(); {
	case c == '{':
		return d.object(func([]byte) error { return d.skip() })
	case c == '[':
		return d.array(func(int) error { return d.skip() })
	case c == '"':
		_, err := d.text()
		return err
	case c == 't':
		return d.word("true")
	case c == 'f':
		return d.word("false")
	case c == 'n':
		return d.word("null")
	case c == '-' || '0' <= c && c <= '9':
		_, _, err := d.number()
		return err
	}
	return d.mistyped("a value")
}

// text reads a string. The result is part of the message or of a buffer that the next
// call reuses.
func (d *jsonDecoder) text() ([]byte, error) {
	d.pos++
	start := d.pos
	ascii := true
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			s := d.data[start:d.pos]
			d.pos++
			if !ascii && !utf8.Valid(s) {
				return nil, d.fail("a string is not UTF-8")
			}
			return s, nil
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			return nil, d.fail("a control character in a string at byte %d", d.pos)
		case c >= utf8.RuneSelf:
			ascii = false
		}
		d.pos++
	}
	return nil, d.fail("a string does not end")
}

// escaped is text from the first backslash on.
func (d *jsonDecoder) escaped(start int) ([]byte, error) {
	d.buf = append(d.buf[:0], d.data[start:d.pos]...)
	for d.pos < len(d.data) {
		c := d.data[d.pos]
		d.pos++
		switch {
		case c == '"':
			if !utf8.Valid(d.buf) {
				return nil, d.fail("a string is not UTF-8")
			}
			return d.buf, nil
		case c < 0x20:
			return nil, d.fail("a control character in a string at byte %d", d.pos-1)
		case c != '\\':
			d.buf = append(d.buf, c)
			continue
		}
		if d.pos == len(d.data) {
			break
		}
		c = d.data[d.pos]
		d.pos++
		switch c {
		case '"', '\\', '/':
			d.buf = append(d.buf, c)
		case 'b':
			d.buf = append(d.buf, '\b')
		case 'f':
			d.buf = append(d.buf, '\f')
		case 'n':
			d.buf = append(d.buf, '\n')
		case 'r':
			d.buf = append(d.buf, '\r')
		case 't':
			d.buf = append(d.buf, '\t')
		case 'u':
			r, err := d.unicode()
			if err != nil {
				return nil, err
			}
			d.buf = utf8.AppendRune(d.buf, r)
		default:
			return nil, d.fail("an unknown escape \\%c in a string", c)
		}
	}
	return nil, d.fail("a string does not end")
}

// unicode reads the digits of \uXXXX, and the second half of a pair.
func (d *jsonDecoder) unicode() (rune, error) {
	r, ok := d.hex4()
	if !ok {
		return 0, d.fail("a malformed \\u escape in a string")
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if d.pos+1 < len(d.data) && d.data[d.pos] == '\\' && d.data[d.pos+1] == 'u' {
		d.pos += 2
		if low, ok := d.hex4(); ok {
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				return full, nil
			}
		}
	}
	return 0, d.fail("a string holds half of a surrogate pair: it is not text (a file name that is not UTF-8?)")
}

func (d *jsonDecoder) hex4() (rune, bool) {
	if len(d.data)-d.pos < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(d.data[d.pos:d.pos+4]), 16, 32)
	d.pos += 4
	return rune(n), err == nil
}

package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// appendForm writes a structure as query parameters, each behind an ampersand.
func appendForm(b []byte, prefix string, p *plan, v reflect.Value) []byte {
	for i := range p.fields {
		f := &p.fields[i]
		if fv := v.Field(f.index); !omitted(f.plan, fv, asInput) {
			b = appendFormValue(b, prefix+f.name, f.plan, fv)
		}
	}
	return b
}

func appendFormValue(b []byte, name string, p *plan, v reflect.Value) []byte {
	if p.ptr {
		if v.IsNil() {
			return b
		}
		v, p = v.Elem(), p.target()
	}
	switch p.kind {
	case kindStruct:
		return appendForm(b, name+".", p, v)
	case kindList:
		for i := range v.Len() {
			b = appendFormValue(b, name+".member."+strconv.Itoa(i+1), p.elem, v.Index(i))
		}
		if v.Len() == 0 {
			b = appendParam(b, name, "")
		}
		return b
	case kindMap:
		for i, k := range sortedValues(v) {
			entry := name + ".entry." + strconv.Itoa(i+1)
			b = appendParam(b, entry+".key", k.String())
			b = appendFormValue(b, entry+".value", p.elem, v.MapIndex(k))
		}
		return b
	}
	return appendParam(b, name, scalarText(p, v))
}

func appendParam(b []byte, name, value string) []byte {
	b = append(b, '&')
	b = append(b, url.QueryEscape(name)...)
	b = append(b, '=')
	return append(b, url.QueryEscape(value)...)
}

// element is a parsed XML element.
type element struct {
	name     string
	text     string
	children []*element
}

func (e *element) child(name string) *element {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (e *element) childText(name string) string {
	if c := e.child(name); c != nil {
		return c.text
	}
	return ""
}

// parseXML reads one element and all below it.
func parseXML(data []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	var stack []*element
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return nil, errors.New("the XML ends too early")
		}
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if len(stack) >= maxDepth {
				return nil, errors.New("the XML is nested too deep")
			}
			e := &element{name: t.Name.Local}
			if len(stack) > 0 {
				top := stack[len(stack)-1]
				top.children = append(top.children, e)
			}
			stack = append(stack, e)
		case xml.EndElement:
			if len(stack) == 1 {
				return stack[0], nil
			}
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += string(t)
			}
		}
	}
}

// decodeXMLAnswer fills a structure from the answer of a query operation.
func decodeXMLAnswer(data []byte, op string, p *plan, out reflect.Value) error {
	root, err := parseXML(data)
	if err != nil {
		return err
	}
	result := root.child(op + "Result")
	if root.name != op+"Response" || result == nil {
		return errors.New("there is no " + op + "Result in it")
	}
	return result.fillStruct(p, out)
}

func (e *element) fillStruct(p *plan, v reflect.Value) error {
	for _, c := range e.children {
		if i, ok := p.byName[c.name]; ok {
			f := &p.fields[i]
			if err := c.fill(f.plan, v.Field(f.index)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *element) fill(p *plan, v reflect.Value) error {
	switch p.kind {
	case kindStruct:
		return e.fillStruct(p.target(), p.settle(v))
	case kindList:
		list := reflect.MakeSlice(p.typ, len(e.children), len(e.children))
		for i, c := range e.children {
			if err := c.fill(p.elem, list.Index(i)); err != nil {
				return err
			}
		}
		v.Set(list)
		return nil
	case kindMap:
		m := reflect.MakeMap(p.typ)
		for _, c := range e.children {
			val := reflect.New(p.typ.Elem()).Elem()
			if vc := c.child("value"); vc != nil {
				if err := vc.fill(p.elem, val); err != nil {
					return err
				}
			}
			m.SetMapIndex(reflect.ValueOf(c.childText("key")).Convert(p.typ.Key()), val)
		}
		v.Set(m)
		return nil
	case kindString:
		return setScalar(p, v, e.text, e.name)
	}
	return setScalar(p, v, strings.TrimSpace(e.text), e.name)
}

// xmlError finds code and message in an error answer: <ErrorResponse> or S3's <Error>.
func xmlError(data []byte) (code, message string) {
	root, err := parseXML(data)
	if err != nil {
		return "", ""
	}
	if inner := root.child("Error"); inner != nil {
		root = inner
	}
	return root.childText("Code"), root.childText("Message")
}

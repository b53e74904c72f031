package wire

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxParams = 20_000 // parameters of one query request

// node is one step in the dotted names of a query request.
type node struct {
	value string
	set   bool
	child map[string]*node
}

// parseForm reads a form body or query string into a tree. The signature's own
// parameters are left out.
func parseForm(raw string) (*node, error) {
	root := &node{}
	for n := 1; raw != ""; n++ {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		if n > maxParams {
			return nil, serialization("more than %d parameters in one request", maxParams)
		}
		k, v, _ := strings.Cut(pair, "=")
		key, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil || !utf8.ValidString(value) {
			return nil, serialization("the parameter %q is not valid form encoding of UTF-8", clip(k))
		}
		if strings.HasPrefix(key, "X-Amz-") {
			continue
		}
		if err := root.insert(key, value); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func (n *node) insert(key, value string) error {
	at := n
	depth := 0
	for part := range strings.SplitSeq(key, ".") {
		if depth++; depth > maxDepth {
			return serialization("the parameter %q is nested more than %d deep", clip(key), maxDepth)
		}
		next := at.child[part]
		if next == nil {
			if at.child == nil {
				at.child = map[string]*node{}
			}
			next = &node{}
			at.child[part] = next
		}
		at = next
	}
	if at.set {
		return serialization("the parameter %q is repeated", clip(key))
	}
	at.value, at.set = value, true
	return nil
}

func (n *node) text(name string) string {
	if c := n.child[name]; c != nil {
		return c.value
	}
	return ""
}

// decodeQuery fills a structure from the tree; seen notes the members that were there.
func decodeQuery(n *node, p *plan, v reflect.Value, path string, seen *Members) error {
	for i := range p.fields {
		f := &p.fields[i]
		c := n.child[f.name]
		if c == nil {
			continue
		}
		if seen != nil {
			seen.add(f.index)
		}
		if err := c.fill(f.plan, v.Field(f.index), joinPath(path, f.name)); err != nil {
			return err
		}
	}
	return nil
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (n *node) fill(p *plan, v reflect.Value, path string) error {
	switch p.kind {
	case kindStruct:
		return decodeQuery(n, p.target(), p.settle(v), path, nil)
	case kindList:
		return n.fillList(p, v, path)
	case kindMap:
		return n.fillMap(p, v, path)
	}
	if !n.set {
		return serialization("%s must be one value", path)
	}
	return setScalar(p, v, n.value, path)
}

// numbered gives the children whose names are numbers, in their order.
func (n *node) numbered(path string) ([]*node, error) {
	type item struct {
		index int
		node  *node
	}
	items := make([]item, 0, len(n.child))
	for name, c := range n.child {
		i, err := strconv.Atoi(name)
		if err != nil || i < 1 || strconv.Itoa(i) != name {
			return nil, serialization("%s.%s: list members are numbered from 1", path, clip(name))
		}
		items = append(items, item{i, c})
	}
	slices.SortFunc(items, func(a, b item) int { return a.index - b.index })
	nodes := make([]*node, len(items))
	for i := range items {
		nodes[i] = items[i].node
	}
	return nodes, nil
}

func (n *node) fillList(p *plan, v reflect.Value, path string) error {
	var items []*node
	if c := n.child["member"]; c != nil {
		var err error
		if items, err = c.numbered(path); err != nil {
			return err
		}
	} else if !n.set || n.value != "" {
		return serialization("%s must be a list: %s.member.1 and so on", path, path)
	}
	list := reflect.MakeSlice(p.typ, len(items), len(items))
	for i, c := range items {
		if err := c.fill(p.elem, list.Index(i), path+".member."+strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func (n *node) fillMap(p *plan, v reflect.Value, path string) error {
	var items []*node
	if c := n.child["entry"]; c != nil {
		var err error
		if items, err = c.numbered(path); err != nil {
			return err
		}
	} else if !n.set || n.value != "" {
		return serialization("%s must be a map: %s.entry.1.key, %s.entry.1.value and so on", path, path, path)
	}
	m := reflect.MakeMapWithSize(p.typ, len(items))
	for _, c := range items {
		key := c.child["key"]
		if key == nil || !key.set {
			return serialization("%s has an entry without a key", path)
		}
		k := reflect.ValueOf(key.value).Convert(p.typ.Key())
		if m.MapIndex(k).IsValid() {
			return serialization("%s has the key %q twice", path, clip(key.value))
		}
		e := reflect.New(p.typ.Elem()).Elem()
		if val := c.child["value"]; val != nil {
			if err := val.fill(p.elem, e, path+".value"); err != nil {
				return err
			}
		}
		m.SetMapIndex(k, e)
	}
	v.Set(m)
	return nil
}

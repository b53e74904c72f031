package wire

import "reflect"

// Register is Op for types that are known only at run time.
func Register[S any](t *Table[S], name string, in, out reflect.Type, options ...Option) {
	t.register(name, in, out, options)
}

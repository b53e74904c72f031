package engine

import (
	"fmt"
	"math"
	"reflect"
)

// Value reduces an argument to what every engine can bind: nil, bool, int64, float64,
// string or []byte. Named types and pointers to such types are followed; a nil pointer
// and a nil []byte are NULL. Times are refused: the store keeps int64 microseconds.
func Value(arg any) (any, error) {
	switch v := arg.(type) {
	case nil, bool, int64, float64, string:
		return v, nil
	case int:
		return int64(v), nil
	case []byte:
		if v == nil {
			return nil, nil
		}
		return v, nil
	}
	r := reflect.ValueOf(arg)
	switch r.Kind() {
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if r.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("argument %d does not fit in 63 bits", r.Uint())
		}
		return int64(r.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return r.Float(), nil
	case reflect.String:
		return r.String(), nil
	case reflect.Pointer:
		if r.IsNil() {
			return nil, nil
		}
		return Value(r.Elem().Interface())
	case reflect.Slice:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			return Value(r.Bytes())
		}
	}
	return nil, fmt.Errorf("argument of type %T cannot be stored: give a number, bool, string, []byte or nil", arg)
}

// Row gives the columns of one row. Int and Float of a column that is no number are
// an error; Bytes is valid until the next call of Next or Close.
type Row interface {
	Columns() int
	Null(i int) bool
	Int(i int) (int64, error)
	Float(i int) (float64, error)
	Bytes(i int) []byte
	// Any is the column as the engine sees it: nil, bool, int64, float64, string, []byte.
	Any(i int) any
}

// Scan copies the columns of row to the destinations: pointers to integers, floats,
// bools, strings, []byte, any, to named types of those, and to pointers to them (which
// become nil for NULL). Bytes are copied; NULL into a []byte gives nil, into anything
// else that cannot be nil it is an error.
func Scan(row Row, dest []any) error {
	if n := row.Columns(); n != len(dest) {
		return fmt.Errorf("the row has %d columns, Scan was given %d destinations", n, len(dest))
	}
	for i, d := range dest {
		if err := scan(row, i, d); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

func scan(row Row, i int, dest any) (err error) {
	switch d := dest.(type) {
	case *[]byte:
		if row.Null(i) {
			*d = nil
		} else {
			*d = append(make([]byte, 0, len(row.Bytes(i))), row.Bytes(i)...)
		}
		return nil
	case *any:
		*d = row.Any(i)
		return nil
	}
	if row.Null(i) {
		return setNull(dest)
	}
	switch d := dest.(type) {
	case *int64:
		*d, err = row.Int(i)
		return err
	case *string:
		*d = string(row.Bytes(i))
		return nil
	case *int:
		var n int64
		n, err = row.Int(i)
		*d = int(n)
		return err
	case *bool:
		var n int64
		n, err = row.Int(i)
		*d = n != 0
		return err
	case *float64:
		*d, err = row.Float(i)
		return err
	}
	return scanOther(row, i, dest)
}

func setNull(dest any) error {
	r := reflect.ValueOf(dest)
	if r.Kind() != reflect.Pointer || r.IsNil() {
		return fmt.Errorf("destination %T is not a pointer", dest)
	}
	switch r.Elem().Kind() {
	case reflect.Pointer, reflect.Slice:
		r.Elem().SetZero()
		return nil
	}
	return fmt.Errorf("NULL cannot be stored in %T: give a pointer to it", dest)
}

func scanOther(row Row, i int, dest any) error {
	r := reflect.ValueOf(dest)
	if r.Kind() != reflect.Pointer || r.IsNil() {
		return fmt.Errorf("destination %T is not a pointer", dest)
	}
	e := r.Elem()
	switch e.Kind() {
	case reflect.Pointer:
		e.Set(reflect.New(e.Type().Elem()))
		return scan(row, i, e.Interface())
	case reflect.String:
		e.SetString(string(row.Bytes(i)))
		return nil
	case reflect.Slice:
		if e.Type().Elem().Kind() != reflect.Uint8 {
			return fmt.Errorf("destination %T is not supported", dest)
		}
		e.SetBytes(append([]byte{}, row.Bytes(i)...))
		return nil
	case reflect.Float32, reflect.Float64:
		f, err := row.Float(i)
		e.SetFloat(f)
		return err
	}
	n, err := row.Int(i)
	if err != nil {
		return err
	}
	switch e.Kind() {
	case reflect.Bool:
		e.SetBool(n != 0)
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if !e.OverflowInt(n) {
			e.SetInt(n)
			return nil
		}
		return fmt.Errorf("%d does not fit in %T", n, dest)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n >= 0 && !e.OverflowUint(uint64(n)) {
			e.SetUint(uint64(n))
			return nil
		}
		return fmt.Errorf("%d does not fit in %T", n, dest)
	}
	return fmt.Errorf("destination %T is not supported", dest)
}

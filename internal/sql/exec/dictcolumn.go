package exec

import (
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
)

// maxDict is the most distinct strings of a stored column that keeps a dictionary.
const maxDict = 4096

// dictColumn stores strings as codes of one dictionary, however many dictionaries they come
// with, so that what reads the rows can still work on codes.
type dictColumn struct {
	codes map[string]uint16
	local []uint16 // code here by code there
}

// start makes v, empty, a column of codes.
func (d *dictColumn) start(v *vector.Vector) {
	d.codes = map[string]uint16{}
	v.Enc, v.Dict, v.Codes.U16 = vector.Dict, vector.New(v.Type, 0), []uint16{}
}

// append adds rows of src, also a Dict; false when the dictionary would grow too large,
// before anything was added.
func (d *dictColumn) append(v, src *vector.Vector, rows kernel.Rows) bool {
	if src.Enc != vector.Dict || src.Dict.Len > maxDict || !d.translate(v, src.Dict) {
		return false
	}
	at, n := len(v.Codes.U16), rows.Len()
	v.Codes.U16 = extend(v.Codes.U16, at+n)
	out := v.Codes.U16[at:]
	for i := range out {
		r := rows.At(i)
		if src.Nulls.Get(r) {
			out[i] = 0
			for len(v.Nulls) < vector.Words(at+n) {
				v.Nulls = append(v.Nulls, 0)
			}
			v.Nulls.Set(at + i)
		} else {
			out[i] = d.local[src.Codes.At(r)]
		}
	}
	for v.Nulls != nil && len(v.Nulls) < vector.Words(at+n) {
		v.Nulls = append(v.Nulls, 0)
	}
	v.Len += n
	return true
}

// translate finds or makes the code of every value of a dictionary.
func (d *dictColumn) translate(v, dict *vector.Vector) bool {
	d.local = extend(d.local[:cap(d.local)], dict.Len)
	for i := range dict.Len {
		s := dict.Bytes(i)
		code, ok := d.codes[string(s)]
		if !ok {
			if v.Dict.Len >= maxDict {
				return false
			}
			code = uint16(v.Dict.Len)
			d.codes[string(s)] = code
			v.Dict.AppendBytes(s)
		}
		d.local[i] = code
	}
	return true
}

// flatten gives the column as a flat vector.
func flatten(v *vector.Vector) *vector.Vector {
	out := vector.New(v.Type, v.Len)
	kernel.Append(out, v, kernel.Rows{N: v.Len})
	return out
}

package textable

import (
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	var table Table
	table.Column("status", false)
	table.Column("count", true)
	table.Row("geöffnet", "7")
	table.Row("", "12345")
	table.Row("a\nb\x1b[2J", "")
	var b strings.Builder
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := ` status   | count
----------+-------
 geöffnet |     7
          | 12345
 a\nb�[2J |      
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

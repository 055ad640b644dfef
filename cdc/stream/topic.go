package stream

import (
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/schemas"
)

// maxTopic is the longest topic name that Kafka allows.
const maxTopic = 249

// TableTopic names the topic of a captured table: <pipeline>.<schema>.<table>.
func TableTopic(pipeline string, t *schemas.Table) string {
	return fit(escape(pipeline) + "." + escape(t.Schema) + "." + escape(t.Name))
}

// ProgressTopic names the topic of a pipeline's progress records.
func ProgressTopic(pipeline string) string { return fit(escape(pipeline) + ".progress") }

// escape replaces what may not stand in a topic name, and what separates its
// parts, by its bytes in hexadecimal.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "-%02x", c)
		}
	}
	return b.String()
}

// fit shortens a name that is too long, its hash making it unique.
func fit(name string) string {
	if len(name) <= maxTopic {
		return name
	}
	return fmt.Sprintf("%s-%016x", name[:maxTopic-17], xxhash.Sum64String(name))
}

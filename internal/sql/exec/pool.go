package exec

import (
	"fmt"
	"sync/atomic"

	"github.com/millrace/millrace/schemas"
)

// Pool is memory that several runs share. Safe for concurrent use.
type Pool struct {
	limit int64
	held  atomic.Int64
}

// NewPool makes a pool of that many bytes.
func NewPool(bytes int64) *Pool { return &Pool{limit: bytes} }

// Held is what the runs hold now, in bytes.
func (p *Pool) Held() int64 { return p.held.Load() }

// reserve accounts for bytes more or fewer. A run that fails keeps what it took on
// account until it ends. A nil Pool has no limit.
func (p *Pool) reserve(bytes int64) error {
	if p == nil {
		return nil
	}
	if held := p.held.Add(bytes); bytes > 0 && held > p.limit {
		return &schemas.Error{Code: schemas.CodeOutOfMemory, SQLState: "53200", Retryable: true,
			Message: fmt.Sprintf("the queries that run need more than the %d bytes of memory that they share", p.limit),
			Hint:    "try again when fewer queries run, or aggregate or filter earlier"}
	}
	return nil
}

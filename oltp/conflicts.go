package oltp

// conflicts remembers which rows were written by commits that a running
// transaction may not have seen. Rows stand as hashes of their keys: two rows with
// one hash make a transaction run again in vain, nothing worse. Guarded by the
// database's commit lock.
//
// Two generations of hashes take turns: when every running transaction has seen
// all that the older one holds, it is emptied and becomes the newer one.
type conflicts struct {
	rows, old map[uint64]uint64 // hash → LSN of the last commit that wrote it
	rowsMax   uint64            // greatest LSN in rows
	oldMax    uint64            // greatest LSN in old
	floor     uint64            // commits up to here are forgotten
	turnAt    int
	forgetAt  int
	tables    map[uint32]tableWrites
}

// tableWrites is what transactions that touch a whole table conflict with.
type tableWrites struct {
	any      uint64 // LSN of the last commit that wrote the table
	truncate uint64 // LSN of the last that truncated it
}

const (
	// turnAt is how many hashes make a generation worth turning.
	turnAt = 8 << 10
	// forgetAt bounds memory: beyond it a generation is forgotten even though a
	// transaction runs that has not seen it; that transaction will conflict.
	forgetAt = 1 << 20
)

func newConflicts() *conflicts {
	return &conflicts{rows: map[uint64]uint64{}, old: map[uint64]uint64{}, tables: map[uint32]tableWrites{}, turnAt: turnAt, forgetAt: forgetAt}
}

// check says whether a transaction that saw everything up to snapshot may commit:
// the first committer wins.
func (c *conflicts) check(tx *transaction, snapshot uint64) bool {
	if snapshot < c.floor {
		return false
	}
	for _, id := range tx.tables {
		if c.tables[id].truncate > snapshot {
			return false
		}
	}
	for _, id := range tx.truncates {
		if c.tables[id].any > snapshot {
			return false
		}
	}
	for _, h := range tx.hashes {
		if c.rows[h] > snapshot || c.old[h] > snapshot {
			return false
		}
	}
	return true
}

// add remembers a commit. oldest gives the oldest snapshot of a running transaction
// that may write.
func (c *conflicts) add(tx *transaction, lsn uint64, oldest func() uint64) {
	if len(c.rows) >= c.turnAt && (len(c.rows) >= c.forgetAt || c.oldMax <= oldest()) {
		c.floor = max(c.floor, c.oldMax)
		clear(c.old)
		c.rows, c.old = c.old, c.rows
		c.oldMax = c.rowsMax
	}
	for _, h := range tx.hashes {
		c.rows[h] = lsn
	}
	c.rowsMax = lsn
	for _, id := range tx.tables {
		w := c.tables[id]
		w.any = lsn
		c.tables[id] = w
	}
	for _, id := range tx.truncates {
		c.tables[id] = tableWrites{any: lsn, truncate: lsn}
	}
}

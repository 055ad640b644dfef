package sstable

import (
	"bytes"
	"context"
	"fmt"

	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/ikey"
)

// Verify reads every block from disk and checks checksums, order, index, filter
// and properties.
func (r *Reader) Verify(ctx context.Context) error {
	if err := r.checkHeader(); err != nil {
		return fmt.Errorf("table %d: %w", r.id, err)
	}
	v := verifier{r: r}
	for i := range r.index {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.block(i); err != nil {
			return fmt.Errorf("table %d, block %d: %w", r.id, i, err)
		}
	}
	return v.properties()
}

type verifier struct {
	r    *Reader
	got  Properties
	last []byte
	lsn  uint64
}

func (v *verifier) block(i int) error {
	content, err := v.r.readBlock(v.r.index[i].handle)
	if err != nil {
		return err
	}
	var it blockIter
	if err := it.init(content); err != nil {
		return err
	}
	for ok := it.first(); ok; ok = it.forward() {
		if err := v.entry(&it); err != nil {
			return err
		}
	}
	if e := &v.r.index[i]; it.err == nil && ikey.Compare(v.last, v.lsn, e.key, e.lsn) != 0 {
		return fmt.Errorf("%w: the index names %q at %d as its last, found is %q at %d", kv.ErrCorrupt, e.key, e.lsn, v.last, v.lsn)
	}
	return it.err
}

func (v *verifier) entry(it *blockIter) error {
	key, lsn := it.userKey(), it.lsn()
	if v.got.Entries == 0 {
		v.got.MinKey = bytes.Clone(key)
		v.got.MinLSN, v.got.MaxLSN = lsn, lsn
	} else if ikey.Compare(v.last, v.lsn, key, lsn) >= 0 {
		return fmt.Errorf("%w: %q at %d follows %q at %d", kv.ErrCorrupt, key, lsn, v.last, v.lsn)
	}
	if !v.r.MayContain(hashKey(key)) {
		return fmt.Errorf("%w: the filter misses %q", kv.ErrCorrupt, key)
	}
	v.got.Entries++
	if !it.live {
		v.got.Tombstones++
	}
	v.got.MinLSN, v.got.MaxLSN = min(v.got.MinLSN, lsn), max(v.got.MaxLSN, lsn)
	v.last, v.lsn = append(v.last[:0], key...), lsn
	return nil
}

func (v *verifier) properties() error {
	v.got.MaxKey = v.last
	if p := v.r.props; !bytes.Equal(p.encode(), v.got.encode()) {
		return fmt.Errorf("%w: table %d: properties say %+v, found is %+v", kv.ErrCorrupt, v.r.id, p, v.got)
	}
	return nil
}

package columnstore

import (
	"context"
	"fmt"
)

// Check verifies every structure against the others: segment files against their
// checksums, blocks against zones, visible rows against index and counts, and the
// visible state against the tables behind it. It holds up publishing meanwhile.
// Corruption is CodeCorrupt.
func (s *Store) Check(ctx context.Context) error {
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	s.write.Lock()
	defer s.write.Unlock()
	st := s.visible.Load()
	for name, t := range s.write.tables {
		if err := t.t.Check(ctx, s.write.version); err != nil {
			return fmt.Errorf("check table %s: %w", name, err)
		}
		if st.tables[name].view == nil || st.tables[name].view.Rows() != t.t.View(st.version).Rows() {
			return corruptManifest("table %s: the visible version has another number of rows than the table", name)
		}
	}
	s.ingest.Lock()
	defer s.ingest.Unlock()
	for name, p := range s.ingest.pipes {
		if src, ok := st.sources[name]; ok && src.W != p.W {
			return corruptManifest("pipeline %s: W is %s, visible is %s", name, p.W, src.W)
		}
	}
	return nil
}

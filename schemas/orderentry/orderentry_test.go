package orderentry

import "testing"

func TestTables(t *testing.T) {
	names := map[string]bool{}
	for _, table := range Tables() {
		if err := table.Validate(); err != nil {
			t.Error(err)
		}
		if len(table.Key) == 0 {
			t.Errorf("%s has no key", table.Name)
		}
		names[table.Name] = true
	}
	if len(names) != 6 {
		t.Errorf("%d tables, want 6", len(names))
	}
}

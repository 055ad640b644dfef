package decimal

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func randomWide(r *rand.Rand) Int128 {
	n := new(big.Int)
	for range 1 + r.IntN(38) {
		n.Mul(n, big.NewInt(10)).Add(n, big.NewInt(r.Int64N(10)))
	}
	if r.IntN(2) == 0 {
		n.Neg(n)
	}
	w, ok := FromBig(n)
	if !ok {
		panic(n)
	}
	return w
}

// TestWideAgainstBig compares 128-bit arithmetic with math/big.
func TestWideAgainstBig(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 5))
	limit := bigPow10(38)
	rounds := 200_000
	if testing.Short() {
		rounds = 20_000
	}
	for range rounds {
		a, b := randomWide(r), randomWide(r)
		x, y := a.Big(), b.Big()
		total := new(big.Int).Add(x, y)
		if s, ok := AddFits(a, b); ok != (total.CmpAbs(limit) < 0) || ok && s.Big().Cmp(total) != 0 {
			t.Fatalf("%v + %v = %v %v", x, y, s.Big(), ok)
		}
		if Cmp128(a, b) != x.Cmp(y) {
			t.Fatalf("cmp %v %v", x, y)
		}
		product := new(big.Int).Mul(x, y)
		if p, ok := Mul128(a, b); ok != (product.CmpAbs(limit) < 0) || ok && p.Big().Cmp(product) != 0 {
			t.Fatalf("%v × %v = %v %v", x, y, p.Big(), ok)
		}
		if d := r.Int64(); d > 0 {
			q, rem := DivRem(a, uint64(d))
			wq, wr := new(big.Int).QuoRem(x, big.NewInt(d), new(big.Int))
			if q.Big().Cmp(wq) != 0 || wr.Int64() != rem {
				t.Fatalf("%v / %d = %v rest %d", x, d, q.Big(), rem)
			}
			if got := DivRound(a, uint64(d)).Big(); got.Cmp(quoRound(x, big.NewInt(d))) != 0 {
				t.Fatalf("%v / %d rounds to %v", x, d, got)
			}
		}
		k := r.IntN(45)
		scaled := new(big.Int).Mul(x, bigPow10(k))
		if s, ok := Scale128(a, k); ok != (scaled.CmpAbs(limit) < 0) || ok && s.Big().Cmp(scaled) != 0 {
			t.Fatalf("%v × 10^%d = %v %v", x, k, s.Big(), ok)
		}
		if got, want := Digits(a), len(strings.TrimPrefix(x.String(), "-")); got != want {
			t.Fatalf("%v has %d digits, not %d", x, want, got)
		}
		if p := Mul64(int64(a.Lo), int64(b.Lo)); p.Big().Cmp(new(big.Int).Mul(big.NewInt(int64(a.Lo)), big.NewInt(int64(b.Lo)))) != 0 {
			t.Fatalf("%d × %d = %v", int64(a.Lo), int64(b.Lo), p.Big())
		}
	}
}

// TestTiersAgree compares division in 128 bits with division of any size.
func TestTiersAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 6))
	fixed := 0
	for range 100_000 {
		a, b := Wide(r.Int64N(2_000_000_000)-1_000_000_000), Wide(r.Int64N(200_000)-100_000)
		sa, sb := r.IntN(8), r.IntN(8)
		if b == (Int128{}) {
			continue
		}
		want, err := Div(FromWide(a, sa), FromWide(b, sb))
		if err != nil {
			t.Fatal(err)
		}
		if q, scale, ok := DivWide(a, sa, b, sb); ok {
			fixed++
			if got := FromWide(q, scale); got.String() != want.String() {
				t.Fatalf("%v / %v = %v, want %v", FromWide(a, sa), FromWide(b, sb), got, want)
			}
		}
	}
	if fixed < 90_000 {
		t.Errorf("only %d divisions were done in 128 bits", fixed)
	}
}

// TestPostgresExamples holds results that PostgreSQL 15 gives.
func TestPostgresExamples(t *testing.T) {
	num := func(s string) Num {
		n, err := Parse([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	two := map[string]func(a, b Num) (Num, error){"+": Add, "-": Sub, "*": Mul, "/": Div, "%": Mod}
	for _, x := range []struct{ a, op, b, want string }{
		{"1.0", "/", "3", "0.33333333333333333333"},
		{"10000000000", "/", "3.0", "3333333333.33333333"},
		{"0.00001", "/", "7", "0.000001428571428571428571"},
		{"22", "/", "7.0", "3.1428571428571429"},
		{"1.10", "+", "2.205", "3.305"},
		{"1.10", "*", "2.20", "2.4200"},
		{"-7.5", "%", "2", "-1.5"},
		{"NaN", "+", "1", "NaN"},
		{"Infinity", "-", "Infinity", "NaN"},
		{"Infinity", "*", "-2", "-Infinity"},
		{"0", "*", "Infinity", "NaN"},
		{"5", "/", "Infinity", "0"},
	} {
		got, err := two[x.op](num(x.a), num(x.b))
		if err != nil || got.String() != x.want {
			t.Errorf("%s %s %s = %v %v, want %s", x.a, x.op, x.b, got, err, x.want)
		}
	}
	for _, x := range []struct {
		f    func(Num, int) Num
		a    string
		n    int
		want string
	}{{Round, "2.5", 0, "3"}, {Round, "-2.5", 0, "-3"}, {Round, "1.005", 2, "1.01"}, {Round, "1250", -2, "1300"}, {Trunc, "-1.29", 1, "-1.2"}, {Round, "1.5", 3, "1.500"}} {
		if got := x.f(num(x.a), x.n); got.String() != x.want {
			t.Errorf("%s to %d digits is %v, want %s", x.a, x.n, got, x.want)
		}
	}
	if _, err := Fit(num("1000"), 5, 2); err == nil {
		t.Error("1000 fits numeric(5,2)")
	}
	if n, err := Fit(num("999.994"), 5, 2); err != nil || n.String() != "999.99" {
		t.Error(n, err)
	}
}

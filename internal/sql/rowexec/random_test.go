package rowexec

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
)

// randomNumeric has up to 30 digits on either side of the point, often fewer.
func randomNumeric(r *rand.Rand) string {
	digits := func(most int) string {
		var b strings.Builder
		for range r.IntN(most + 1) {
			b.WriteByte('0' + byte(r.IntN(10)*r.IntN(2)))
		}
		return b.String()
	}
	most := []int{2, 5, 12, 30}[r.IntN(4)]
	s := strconv.Itoa(r.IntN(10)) + digits(most)
	if f := digits(most); f != "" {
		s += "." + f
	}
	if r.IntN(3) == 0 {
		s = "-" + s
	}
	return s
}

func randomText(r *rand.Rand, letters []string, most int) string {
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteString(letters[r.IntN(len(letters))])
	}
	return b.String()
}

func randomTime(r *rand.Rand) string {
	return fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d.%06d", 1+r.IntN(3000), 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6))
}

func randomInterval(r *rand.Rand) string {
	return fmt.Sprintf("%d mons %d days %d:%02d:%02d.%06d", r.IntN(60)-30, r.IntN(80)-40, r.IntN(100), r.IntN(60), r.IntN(60), r.IntN(1e6))
}

// TestRandomCallsAgainstPostgreSQL compares what depends on many digits.
func TestRandomCallsAgainstPostgreSQL(t *testing.T) {
	db := pg.Database(t)
	db.Exec("%s", attempt)
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	r := rand.New(rand.NewPCG(42, 1))
	num := func() string { return randomNumeric(r) }
	positive := func() string { return strings.TrimPrefix(randomNumeric(r), "-") }
	small := func() string { return strconv.FormatFloat(float64(r.IntN(2000)-1000)/100, 'f', -1, 64) }
	scale := func() string { return strconv.Itoa(r.IntN(30) - 10) }
	stamp := func() string { return randomTime(r) }
	span := func() string { return randomInterval(r) }
	double := func() string { return strconv.FormatFloat((r.Float64()-0.5)*100, 'g', 3, 64) }
	pattern := func() string { return randomText(r, []string{"a", "b", "%", "_", `\\`, `\%`, "é"}, 8) }
	place := func() string {
		return []string{"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"}[r.IntN(5)]
	}
	// turn is near the change of clocks in Berlin, New York or on Lord Howe.
	turn := func() string {
		day := []string{"2024-03-31", "2024-10-27", "2024-03-10", "2024-11-03", "2024-04-07", "2024-10-06"}[r.IntN(6)]
		return fmt.Sprintf("%s %02d:%02d:00", day, r.IntN(24), 15*r.IntN(4))
	}
	unit := func() string {
		return []string{"microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century", "millennium"}[r.IntN(13)]
	}
	offset := func() string { return fmt.Sprintf("%d:%02d", r.IntN(20)-10, r.IntN(60)) }
	letter := func() string { return []string{"a", "b", "é", "%"}[r.IntN(4)] }
	word := func() string { return randomText(r, []string{"a", "b", "é", "%", `\`}, 10) }
	for key, args := range map[string][]func() string{
		"+(numeric,numeric)": {num, num}, "-(numeric,numeric)": {num, num}, "*(numeric,numeric)": {num, num},
		"/(numeric,numeric)": {num, num}, "%(numeric,numeric)": {num, num}, "div(numeric,numeric)": {num, num},
		"round(numeric,integer)": {num, scale}, "trunc(numeric,integer)": {num, scale},
		"ceil(numeric)": {num}, "floor(numeric)": {num}, "round(numeric)": {num},
		"sqrt(numeric)": {positive}, "ln(numeric)": {positive}, "log(numeric)": {positive}, "exp(numeric)": {small},
		"power(numeric,numeric)": {positive, small}, "log(numeric,numeric)": {positive, positive},
		"+(timestamp without time zone,interval)": {stamp, span}, "-(timestamp without time zone,interval)": {stamp, span},
		"-(timestamp without time zone,timestamp without time zone)":   {stamp, stamp},
		"age(timestamp without time zone,timestamp without time zone)": {stamp, stamp},
		"+(interval,interval)": {span, span}, "<(interval,interval)": {span, span},
		"*(interval,double precision)": {span, double}, "/(interval,double precision)": {span, double},
		"~~(text,text)": {word, pattern},
		"timezone(text,timestamp without time zone)":     {place, turn},
		"timezone(text,timestamp with time zone)":        {place, turn},
		"date_trunc(text,timestamp with time zone,text)": {unit, turn, place},
		"date_part(text,timestamp without time zone)":    {unit, stamp},
		"date_trunc(text,timestamp without time zone)":   {unit, stamp},
		"timezone(interval,timestamp without time zone)": {offset, turn},
		"substring(text,integer,integer)":                {word, scale, scale},
		"split_part(text,text,integer)":                  {word, letter, scale},
		"translate(text,text,text)":                      {word, word, word},
		"like_escape(text,text)":                         {pattern, letter},
	} {
		f := fn.Builtin().Impl(key)
		if f == nil {
			t.Fatalf("no function %s", key)
		}
		var sqls, got []string
		for range rounds {
			call, texts := &expr.Call{Func: f}, []string{}
			for i, make := range args {
				texts = append(texts, make())
				call.Args = append(call.Args, typed(f.Args[i], value(t, f.Args[i], texts[i])))
			}
			got = append(got, shown(scope.Eval(call, nil)))
			sqls = append(sqls, sqlCall(f, texts))
		}
		bad := 0
		for i, want := range oracle(db, sqls) {
			if got[i] != want {
				if bad++; bad <= 4 {
					t.Errorf("%s: %q, PostgreSQL has %q", sqls[i], got[i], want)
				}
			}
		}
	}
}

package fn

import (
	"github.com/millrace/millrace/schemas"
)

// Unknown is the kind of a literal or parameter whose type its use decides.
const Unknown = schemas.Invalid

// category groups kinds for resolution, as pg_type.typcategory.
func category(k schemas.Kind) byte {
	switch k {
	case kBool:
		return 'B'
	case kI16, kI32, kI64, kF32, kF64, kNum:
		return 'N'
	case kText, kChar, schemas.Varchar:
		return 'S'
	case kDate, kTime, kTS, kTSTZ:
		return 'D'
	case kIval:
		return 'T'
	}
	return 'U'
}

// preferred says whether a kind is the one its category prefers (pg_type.typispreferred).
func preferred(k schemas.Kind) bool {
	return k == kBool || k == kF64 || k == kText || k == kTSTZ || k == kIval
}

// coercible says whether an argument may become a parameter's kind implicitly.
func coercible(from, to schemas.Kind) bool {
	return from == Unknown || CastContext(from, to) == Implicit
}

// ResolveOperator finds the operator that PostgreSQL would choose (Chapter 10.2), nil
// when there is none; ambiguous says that several fit equally.
func (r *Registry) ResolveOperator(name string, args []schemas.Kind) (s *Signature, ambiguous bool) {
	return resolve(r.operators[name], args, true)
}

// ResolveFunction finds the function that PostgreSQL would choose (Chapter 10.3).
func (r *Registry) ResolveFunction(name string, args []schemas.Kind) (s *Signature, ambiguous bool) {
	return resolve(r.functions[name], args, false)
}

// ResolveAggregate chooses among the aggregates of a name; -1 when none fits.
func (r *Registry) ResolveAggregate(name string, args []schemas.Kind) (index int, ambiguous bool) {
	aggs := r.aggregates[name]
	sigs := make([]*Signature, len(aggs))
	for i, a := range aggs {
		sigs[i] = &Signature{Name: a.Name, Args: a.Args, Result: a.Result}
	}
	s, ambiguous := resolve(sigs, args, false)
	for i := range sigs {
		if sigs[i] == s {
			return i, false
		}
	}
	return -1, ambiguous
}

// param is the kind that argument i of a call must have.
func (s *Signature) param(i int) schemas.Kind {
	if i >= len(s.Args) {
		return s.Args[len(s.Args)-1]
	}
	return s.Args[i]
}

// Params lists the kinds that n arguments must have.
func (s *Signature) Params(n int) []schemas.Kind {
	out := make([]schemas.Kind, n)
	for i := range out {
		out[i] = s.param(i)
	}
	return out
}

func (s *Signature) takes(n int) bool {
	return n == len(s.Args) || s.Variadic && n > len(s.Args)
}

func resolve(all []*Signature, args []schemas.Kind, operator bool) (*Signature, bool) {
	if s := exact(all, args, operator); s != nil {
		return s, false
	}
	var fit []*Signature
	for _, s := range all {
		if s.takes(len(args)) && s.accepts(args) {
			fit = append(fit, s)
		}
	}
	switch len(fit) {
	case 0:
		return nil, false
	case 1:
		return fit[0], false
	}
	s := selectCandidate(fit, args)
	return s, s == nil
}

func (s *Signature) accepts(args []schemas.Kind) bool {
	for i, a := range args {
		if !coercible(a, s.param(i)) {
			return false
		}
	}
	return true
}

// exact finds a signature of exactly these kinds. For a binary operator an unknown
// side is first taken to be of the other side's kind.
func exact(all []*Signature, args []schemas.Kind, operator bool) *Signature {
	if operator && len(args) == 2 {
		switch {
		case args[0] == Unknown && args[1] != Unknown:
			args = []schemas.Kind{args[1], args[1]}
		case args[1] == Unknown && args[0] != Unknown:
			args = []schemas.Kind{args[0], args[0]}
		}
	}
	for _, s := range all {
		if !s.takes(len(args)) {
			continue
		}
		same := true
		for i, a := range args {
			same = same && a == s.param(i)
		}
		if same {
			return s
		}
	}
	return nil
}

// selectCandidate is func_select_candidate of PostgreSQL's parse_func.c.
func selectCandidate(fit []*Signature, args []schemas.Kind) *Signature {
	fit = best(fit, args, func(arg, param schemas.Kind) bool { return arg == param })
	if len(fit) == 1 {
		return fit[0]
	}
	fit = best(fit, args, func(arg, param schemas.Kind) bool {
		return arg == param || preferred(param) && category(param) == category(arg)
	})
	if len(fit) == 1 {
		return fit[0]
	}
	if narrowed := byCategory(fit, args); len(narrowed) > 0 {
		fit = narrowed
	}
	if len(fit) == 1 {
		return fit[0]
	}
	return likeKnown(fit, args)
}

// best keeps the candidates with the most known arguments that match.
func best(fit []*Signature, args []schemas.Kind, match func(arg, param schemas.Kind) bool) []*Signature {
	var out []*Signature
	most := -1
	for _, s := range fit {
		n := 0
		for i, a := range args {
			if a != Unknown && match(a, s.param(i)) {
				n++
			}
		}
		switch {
		case n > most:
			out, most = []*Signature{s}, n
		case n == most:
			out = append(out, s)
		}
	}
	return out
}

// byCategory decides the category of each unknown argument (string if a candidate
// takes one, else the only one there is) and keeps the candidates of it, of the
// preferred kind where a candidate has that. It gives nothing when it cannot tell.
func byCategory(fit []*Signature, args []schemas.Kind) []*Signature {
	type slot struct {
		category  byte
		preferred bool
	}
	slots := map[int]slot{}
	for i, a := range args {
		if a != Unknown {
			continue
		}
		var s slot
		conflict := false
		for _, f := range fit {
			p := f.param(i)
			switch c := category(p); {
			case s.category == 0, c == 'S' && s.category != 'S':
				s = slot{c, preferred(p)}
			case c == s.category:
				s.preferred = s.preferred || preferred(p)
			default:
				conflict = true
			}
		}
		if conflict && s.category != 'S' {
			return nil
		}
		slots[i] = s
	}
	if len(slots) == 0 {
		return nil
	}
	var out []*Signature
	for _, f := range fit {
		keep := true
		for i, s := range slots {
			p := f.param(i)
			keep = keep && category(p) == s.category && (!s.preferred || preferred(p))
		}
		if keep {
			out = append(out, f)
		}
	}
	return out
}

// likeKnown takes unknown arguments to be of the one kind that all known ones have.
func likeKnown(fit []*Signature, args []schemas.Kind) *Signature {
	known, unknowns := Unknown, 0
	for _, a := range args {
		switch {
		case a == Unknown:
			unknowns++
		case known == Unknown:
			known = a
		case known != a:
			return nil
		}
	}
	if known == Unknown || unknowns == 0 {
		return nil
	}
	same := make([]schemas.Kind, len(args))
	for i := range same {
		same[i] = known
	}
	var found *Signature
	for _, s := range fit {
		if s.accepts(same) {
			if found != nil {
				return nil
			}
			found = s
		}
	}
	return found
}

// CommonKind is the kind that a CASE, COALESCE, IN, VALUES or UNION gives its
// arguments (select_common_type, Chapter 10.5): Unknown when there is none. Of only
// unknown arguments it is text.
func CommonKind(kinds []schemas.Kind) schemas.Kind {
	common := Unknown
	for _, k := range kinds {
		switch {
		case k == Unknown || k == common:
		case common == Unknown:
			common = k
		case category(k) != category(common):
			return Unknown
		case !preferred(common) && coercible(common, k) && !coercible(k, common):
			common = k
		}
	}
	if common == Unknown {
		return kText
	}
	for _, k := range kinds {
		if !coercible(k, common) {
			return Unknown
		}
	}
	return common
}

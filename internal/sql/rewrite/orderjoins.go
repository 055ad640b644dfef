package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// OrderJoins takes each group of inner joins apart into inputs and conditions and joins
// them anew: first the two connected inputs whose join is estimated smallest, then
// always the input that keeps the result smallest. Equalities between the sides become
// hash keys, and the smaller side is the right one, from which the hash table is built.
func OrderJoins(n plan.Node) plan.Node {
	if j, ok := n.(*plan.Join); ok && inner(j) {
		g := &graph{}
		g.collect(j)
		for i := range g.inputs {
			g.inputs[i] = OrderJoins(g.inputs[i])
		}
		return g.build()
	}
	return plan.MapInputs(n, OrderJoins)
}

func inner(j *plan.Join) bool { return j.Kind == plan.Inner || j.Kind == plan.Cross }

// graph is a group of inner joins: inputs, and conditions between them.
type graph struct {
	inputs []plan.Node
	conds  []expr.Expr
	rows   *estimator
	cols   map[plan.Node]columnSet
}

// columns are the columns of an input, collected once.
func (g *graph) columns(n plan.Node) columnSet {
	if g.cols[n] == nil {
		g.cols[n] = columnsOf(n)
	}
	return g.cols[n]
}

func (g *graph) collect(n plan.Node) {
	j, ok := n.(*plan.Join)
	if !ok || !inner(j) {
		g.inputs = append(g.inputs, n)
		return
	}
	g.collect(j.Left)
	g.collect(j.Right)
	for _, k := range j.Keys {
		g.conds = append(g.conds, equality(k))
	}
	g.conds = conjuncts(g.conds, j.Cond)
}

// equality is a key as the condition it stands for. The "=" of a kind is found by name
// only, which is all that key looks at.
func equality(k plan.JoinKey) expr.Expr {
	kind := k.Left.Type().Kind
	return &expr.Call{Node: expr.Node{Typ: schemas.Type{Kind: schemas.Bool}},
		Func: &expr.Func{Name: "=", Args: []schemas.Kind{kind, kind}, Result: schemas.Bool}, Args: []expr.Expr{k.Left, k.Right}}
}

// maxGreedy bounds the inputs that are ordered by trying all pairs at each step.
const maxGreedy = 32

func (g *graph) build() plan.Node {
	inputs := append([]plan.Node(nil), g.inputs...)
	g.rows, g.cols = newEstimator(inputs...), map[plan.Node]columnSet{}
	if len(inputs) > maxGreedy {
		return g.inOrder(inputs)
	}
	first, second := g.bestPair(inputs)
	current := g.join(inputs[first], inputs[second])
	inputs = remove(inputs, max(first, second))
	inputs = remove(inputs, min(first, second))
	for len(inputs) > 0 {
		i := g.bestNext(current, inputs)
		current = g.join(current, inputs[i])
		inputs = remove(inputs, i)
	}
	return g.finish(current)
}

// inOrder joins as written.
func (g *graph) inOrder(inputs []plan.Node) plan.Node {
	current := inputs[0]
	for _, in := range inputs[1:] {
		current = g.join(current, in)
	}
	return g.finish(current)
}

// finish applies the conditions that no join could, those without columns.
func (g *graph) finish(n plan.Node) plan.Node { return filtered(n, g.conds) }

func remove(list []plan.Node, i int) []plan.Node {
	return append(list[:i:i], list[i+1:]...)
}

// bestPair finds the first join: connected before not, then smallest; of equals the
// first as written.
func (g *graph) bestPair(inputs []plan.Node) (int, int) {
	bi, bj, best, bestConnected := 0, 1, 0.0, false
	for i := range inputs {
		for j := i + 1; j < len(inputs); j++ {
			rows, connected := g.estimate(inputs[i], inputs[j])
			if i == 0 && j == 1 || connected && !bestConnected || connected == bestConnected && rows < best {
				bi, bj, best, bestConnected = i, j, rows, connected
			}
		}
	}
	return bi, bj
}

func (g *graph) bestNext(current plan.Node, inputs []plan.Node) int {
	at, best, bestConnected := 0, 0.0, false
	for i := range inputs {
		rows, connected := g.estimate(current, inputs[i])
		if i == 0 || connected && !bestConnected || connected == bestConnected && rows < best {
			at, best, bestConnected = i, rows, connected
		}
	}
	return at
}

// between splits the conditions into keys and rest of a join of two inputs, and those
// that wait for more.
func (g *graph) between(left, right plan.Node) (keys []plan.JoinKey, rest, wait []expr.Expr) {
	l, r := g.columns(left), g.columns(right)
	for _, c := range g.conds {
		if k, ok := key(c, l, r); ok {
			keys = append(keys, k)
		} else if len(expr.Columns(nil, c)) > 0 && covered(c, l, r) {
			rest = append(rest, c)
		} else {
			wait = append(wait, c)
		}
	}
	return keys, rest, wait
}

// covered says whether an expression reads only columns of two sets.
func covered(e expr.Expr, a, b columnSet) bool {
	for _, id := range expr.Columns(nil, e) {
		if !a[id] && !b[id] {
			return false
		}
	}
	return true
}

// key recognises an equality between an expression of each side.
func key(e expr.Expr, left, right columnSet) (plan.JoinKey, bool) {
	c, ok := e.(*expr.Call)
	if !ok || c.Func.Name != "=" || len(c.Args) != 2 {
		return plan.JoinKey{}, false
	}
	a, b := c.Args[0], c.Args[1]
	if a.Type().Kind != b.Type().Kind || len(expr.Columns(nil, a)) == 0 || len(expr.Columns(nil, b)) == 0 {
		return plan.JoinKey{}, false
	}
	switch {
	case left.covers(a) && right.covers(b):
		return plan.JoinKey{Left: a, Right: b}, true
	case left.covers(b) && right.covers(a):
		return plan.JoinKey{Left: b, Right: a}, true
	}
	return plan.JoinKey{}, false
}

// join joins two inputs by all conditions that it can answer, the smaller on the right.
func (g *graph) join(a, b plan.Node) plan.Node {
	if g.rows.of(a) < g.rows.of(b) {
		a, b = b, a
	}
	keys, rest, wait := g.between(a, b)
	g.conds = wait
	j := &plan.Join{Kind: plan.Inner, Left: a, Right: b, Keys: keys, Cond: conjunction(rest)}
	if len(keys) == 0 && len(rest) == 0 {
		j.Kind = plan.Cross
	}
	return j
}

func (g *graph) estimate(a, b plan.Node) (rows float64, connected bool) {
	keys, rest, _ := g.between(a, b)
	j := &plan.Join{Kind: plan.Inner, Left: a, Right: b, Keys: keys, Cond: conjunction(rest)}
	return g.rows.estimate(j), len(keys) > 0
}

package torture

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

// limitOfHour is the limit of the second provider; more messages than it wait.
const limitOfHour = 50

// TestNodes kills nodes on one PostgreSQL, and then PostgreSQL itself.
func TestNodes(t *testing.T) {
	t.Parallel()
	pg := pgtest.New(t)
	w := newWorld(t, pg.Database(t), 3, limitOfHour, "")
	stop := w.send(t)
	for n := range 3 * limitOfHour / 2 / perCall {
		w.call(t.Context(), fmt.Sprintf("limited.%d", n), w.limited)
	}
	for i := range *nodeKills {
		w.busy(t, i)
		node := w.nodes[rand.IntN(len(w.nodes))]
		node.kill()
		w.busy(t, i+1) // the others go on
		node.start(t)
	}
	for i := range *restarts {
		w.busy(t, i)
		pg.Stop(t, i%2 == 0)
		w.load.always.Store(true) // relaying stands still
		refused := w.refusals()
		eventually(t, "calls to be refused while PostgreSQL is away", func() bool { return w.refusals() > refused })
		w.load.always.Store(false)
		pg.Start(t)
		w.busy(t, 0)
	}
	w.busy(t, 1)
	stop()
	r := &report{name: fmt.Sprintf("three nodes on PostgreSQL: a node killed %d times, PostgreSQL restarted %d times", *nodeKills, *restarts)}
	// While PostgreSQL is away longer than a lease, what is in flight on every
	// node may be given out again.
	w.audit(t, r, *nodeKills+len(w.nodes)**restarts)
	for _, n := range w.nodes {
		r.add(n.name, "%s", n.startTimes())
		n.stop(t)
	}
	r.print(t)
}

package postgres

import (
	"strconv"
	"strings"
)

// filter builds the condition of a list from the parts that a query asks for.
// Parts that are not asked for are left out of the statement, so that each
// combination has a plan of its own.
type filter struct {
	conds []string
	args  []any
}

// arg adds a value and gives its placeholder.
func (f *filter) arg(v any) string {
	f.args = append(f.args, v)
	return "$" + strconv.Itoa(len(f.args))
}

// and adds a condition; its one ? stands for the value.
func (f *filter) and(cond string, v any) {
	f.conds = append(f.conds, strings.Replace(cond, "?", f.arg(v), 1))
}

func (f *filter) where() string {
	if len(f.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conds, " AND ")
}

// page adds the bounds of a list.
func (f *filter) page(limit, offset int) string {
	return " LIMIT " + f.arg(min(max(limit, 1), 1000)) + " OFFSET " + f.arg(max(offset, 0))
}

package sqlite

import "testing"

// TestInOrder: only placeholders whose order says which they are lose their
// numbers.
func TestInOrder(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1": "SELECT 1",
		"SELECT a FROM b WHERE c = $1 AND d IN ($2,$3)":                         "SELECT a FROM b WHERE c = ? AND d IN (?,?)",
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT ...": "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ...",
		"SELECT a WHERE b = $2 AND c = $1":                                      "SELECT a WHERE b = $2 AND c = $1",
		"SELECT a WHERE b = $1 OR c = $1":                                       "SELECT a WHERE b = $1 OR c = $1",
		"SELECT a WHERE b = $1 AND c = $3":                                      "SELECT a WHERE b = $1 AND c = $3",
		"INSERT INTO a VALUES (?, ?)":                                           "INSERT INTO a VALUES (?, ?)",
		"SELECT json_extract(a, '$.x') WHERE b = $1":                            "SELECT json_extract(a, '$.x') WHERE b = ?",
		"SELECT a$ WHERE b = $1$":                                               "SELECT a$ WHERE b = ?$",
	} {
		if got := inOrder(query); got != want {
			t.Errorf("%s becomes %s, want %s", query, got, want)
		}
	}
}

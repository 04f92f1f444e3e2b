package dash

import (
	"encoding/csv"
	"math"
	"strconv"
)

// plots gives the charts of a page the addresses of their files. When the
// request asks for one of them, it is written, and done is true.
func (v *visit) plots(charts ...*chart) (done bool) {
	asked := v.r.URL.Query().Get("csv")
	for _, c := range charts {
		if c == nil || c.Name == "" {
			continue
		}
		if asked == c.Name {
			v.csv(c)
			return true
		}
		c.CSV = v.fileOf(c.Name)
	}
	return false
}

// fileOf is the address of the file of a plot of this page.
func (v *visit) fileOf(name string) string {
	q := v.r.URL.Query()
	q.Set("csv", name)
	return v.r.URL.Path + "?" + q.Encode()
}

// csv writes the numbers of a chart as a file: shares as such, times in
// seconds, and nothing for what is not known.
func (v *visit) csv(c *chart) {
	v.download("text/csv; charset=utf-8", c.Name+".csv")
	w := csv.NewWriter(v.w)
	head := []string{orElse(c.What, "when")}
	for i := range c.Series {
		head = append(head, cell(c.Series[i].Name))
	}
	lines := [][]string{head}
	for i, p := range c.Points {
		line := []string{cell(p)}
		for j := range c.Series {
			value := ""
			if values := c.Series[j].Values; i < len(values) && !math.IsNaN(values[i]) {
				value = strconv.FormatFloat(values[i], 'f', -1, 64)
			}
			line = append(line, value)
		}
		lines = append(lines, line)
	}
	_ = w.WriteAll(lines) // the caller may be gone
}

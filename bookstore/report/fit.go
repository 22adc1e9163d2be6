package report

// Fit is a straight line through PostgreSQL's memory over its backends: what the server costs without any, and what
// each adds, in bytes.
type Fit struct {
	Base, Each float64
	Rows       int // that it goes through
}

// backendsApart is how far the rows' backends must lie apart before a line through them says anything.
const backendsApart = 20

// BackendCost fits the line by least squares to the peaks of all rows.
func (r *Report) BackendCost() (Fit, bool) {
	var n, sx, sy, sxx, sxy float64
	lo, hi := 0, 0
	for _, row := range append(append([]Row{}, r.Rows...), r.Walk...) {
		x, y := float64(row.Backends()), float64(row.Postgres())
		if y == 0 {
			continue
		}
		if n == 0 {
			lo = row.Backends()
		}
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
		lo, hi = min(lo, row.Backends()), max(hi, row.Backends())
	}
	if n < 2 || hi-lo < backendsApart {
		return Fit{}, false
	}
	each := (n*sxy - sx*sy) / (n*sxx - sx*sx)
	return Fit{Base: (sy - each*sx) / n, Each: each, Rows: int(n)}, each > 0
}

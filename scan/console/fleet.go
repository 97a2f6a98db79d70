package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/streamlease/streamlease/scan"
)

// mostRows is how many processes the table of the fleet has on a page.
const mostRows = 200

// fleetView is what the page of the fleet shows.
type fleetView struct {
	Rows           []processRow
	From, To, All  int
	Earlier, Later string // links
}

// processRow is a process in the table.
type processRow struct {
	scan.Process
	Link    string
	Percent string // of its fair share; empty: it has none
	Bar     string // the same as the width of a bar on which 50 is fair
	Level   string
}

var fleetLive = following{template: "fleet", parts: []string{"unread", "shares", "fleet", "journal"}, data: fleetData}

func fleetPage(_ *site, r *http.Request) (*view, error) {
	from := r.URL.Query().Get("from")
	return &view{template: "fleet", title: "Fleet", here: "fleet", follow: link("live", "view", "fleet", "from", from), live: &fleetLive}, nil
}

// fleetData is the table from a row on.
func fleetData(_ *site, q url.Values, found *sample) any {
	f := &fleetView{All: len(found.Balance.Processes)}
	from, _ := strconv.Atoi(q.Get("from"))
	f.From = max(0, min(from, f.All))
	f.To = min(f.From+mostRows, f.All)
	for _, p := range found.Balance.Processes[f.From:f.To] {
		f.Rows = append(f.Rows, rowOf(p))
	}
	if f.From > 0 {
		f.Earlier = link("fleet", "from", strconv.Itoa(max(0, f.From-mostRows)))
	}
	if f.To < f.All {
		f.Later = link("fleet", "from", strconv.Itoa(f.To))
	}
	return f
}

func rowOf(p scan.Process) processRow {
	row := processRow{Process: p, Link: link("process", "name", p.Name), Bar: "0", Level: "fine"}
	if p.Fair > 0 {
		part := float64(p.Held) / p.Fair * 100
		row.Percent = number(part) + " %"
		row.Bar = coordinate(min(part/2, 100))
	}
	switch {
	case p.Dead:
		row.Level = "bad"
	case !p.Over.IsZero() || p.State == scan.BalanceBehind:
		row.Level = "warn"
	case p.State != scan.BalanceShares:
		row.Level = "note"
	}
	return row
}

// processView is what the page of a process shows.
type processView struct {
	Name      string
	Row       *processRow // nil: it says nothing of itself
	Consumers []scan.Consumer
	Names     []string // of its consumers, which differ where a session was opened again
	Consumer  string   // whose holdings are shown
	Holdings  []scan.Holding
	Next      string // link
	First     bool
}

// processPage shows a process, and page by page what is pending for it.
func processPage(s *site, r *http.Request) (*view, error) {
	q := r.URL.Query()
	cursor, err := cursorOf(q)
	if err != nil {
		return nil, err
	}
	p := &processView{Name: q.Get("name"), Consumer: q.Get("consumer"), First: cursor == ""}
	if p.Consumer != "" {
		p.Name = runOf(p.Consumer)
	}
	found, err := s.sampler.current(r.Context())
	if err != nil {
		return nil, err
	}
	for _, process := range found.Balance.Processes {
		if process.Name == p.Name {
			row := rowOf(process)
			p.Row = &row
		}
	}
	for _, c := range found.Consumers {
		if runOf(c.Name) == p.Name {
			p.Consumers = append(p.Consumers, c)
			if !slices.Contains(p.Names, c.Name) {
				p.Names = append(p.Names, c.Name)
			}
		}
	}
	if p.Consumer == "" && len(p.Names) > 0 {
		p.Consumer = p.Names[0]
	}
	if p.Consumer != "" {
		ctx, done := s.bounded(r)
		defer done()
		var next string
		if p.Holdings, next, err = s.inspect().HoldingsPage(ctx, p.Consumer, cursor, 0); err != nil {
			return nil, err
		}
		if next != "" {
			p.Next = link("process", "name", p.Name, "consumer", p.Consumer, "cursor", next)
		}
	}
	return &view{template: "process", title: "Process " + short(p.Name), here: "fleet", data: p}, nil
}

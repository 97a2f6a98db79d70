package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// maxMetrics bounds what is read of one process: an endpoint with other metrics, too, has some hundred KiB.
const maxMetrics = 16 << 20

// figures are what a process says of itself by its metrics, which Redis does not know.
type figures struct {
	URL      string   `json:"url"`
	Held     int      `json:"held"`
	Renewals *float64 `json:"renewals_per_second"`  // null: unknown yet
	Lateness *float64 `json:"lateness_p99_seconds"` // at most so late, of the renewals since the last look; null: there was none
	Queue    int      `json:"handler_queue"`
	Busy     int      `json:"handlers_busy"`
	Settling int      `json:"settling_partitions"`
	Error    string   `json:"error,omitempty"`
}

// scraper reads the metrics of processes.
type scraper struct {
	service string
	urls    []string
	client  *http.Client
	last    map[string]*scraped // what was read before, by URL
}

// scraped is what one reading has of a process.
type scraped struct {
	at                         time.Time
	held, queue, busy, settles float64
	renewed                    float64
	late                       map[float64]float64 // cumulated, by the upper bound of the bucket
}

func newScraper(service string, urls []string, timeout time.Duration) *scraper {
	// A connection each time costs nothing at such intervals, and leaves nothing behind.
	return &scraper{
		service: service, urls: urls, last: make(map[string]*scraped),
		client: &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}},
	}
}

// look reads all processes.
func (s *scraper) look(ctx context.Context) []figures {
	read, errs := make([]*scraped, len(s.urls)), make([]error, len(s.urls))
	var all sync.WaitGroup
	for n, url := range s.urls {
		all.Go(func() { read[n], errs[n] = s.read(ctx, url) })
	}
	all.Wait()
	found := make([]figures, len(s.urls))
	for n, url := range s.urls {
		found[n] = figures{URL: withoutSecrets(url)}
		if errs[n] != nil {
			found[n].Error = errs[n].Error()
			continue
		}
		found[n].fill(read[n], s.last[url])
		s.last[url] = read[n]
	}
	return found
}

func withoutSecrets(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	return u.Redacted()
}

func (s *scraper) read(ctx context.Context, url string) (*scraped, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxMetrics))
	if err != nil {
		return nil, fmt.Errorf("no metrics in the text format: %w", err)
	}
	return s.pick(families)
}

// pick takes what is of the service.
func (s *scraper) pick(families map[string]*dto.MetricFamily) (*scraped, error) {
	of := func(name string) (mine []*dto.Metric) {
		for _, m := range families["streamlease_"+name].GetMetric() {
			if slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == "service" && l.GetValue() == s.service }) {
				mine = append(mine, m)
			}
		}
		return mine
	}
	sum := func(name string) (total float64) {
		for _, m := range of(name) {
			total += m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
		return total
	}
	if len(of("held")) == 0 {
		return nil, fmt.Errorf("no metrics of service %s", s.service)
	}
	r := &scraped{
		at: time.Now(), held: sum("held"), queue: sum("handler_queue_depth"), busy: sum("handler_busy_workers"), settles: sum("settling"),
		renewed: sum("renewals_total"), late: make(map[float64]float64),
	}
	for _, m := range of("renewal_lateness_seconds") {
		for _, b := range m.GetHistogram().GetBucket() {
			r.late[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
	}
	return r, nil
}

// fill puts in what was read, and what has changed since an earlier reading, which may be nil.
func (f *figures) fill(r, earlier *scraped) {
	f.Held, f.Queue, f.Busy, f.Settling = int(r.held), int(r.queue), int(r.busy), int(r.settles)
	if earlier == nil || r.renewed < earlier.renewed { // the process has started again
		return
	}
	rate := (r.renewed - earlier.renewed) / r.at.Sub(earlier.at).Seconds()
	if !math.IsNaN(rate) && !math.IsInf(rate, 0) {
		f.Renewals = &rate
	}
	f.Lateness = p99(r.late, earlier.late)
}

// p99 returns the upper bound of the bucket in which the 99th percentile is of what was observed between two readings of a histogram;
// of the last bucket, its lower bound. nil: nothing was observed.
func p99(now, earlier map[float64]float64) *float64 {
	bounds := make([]float64, 0, len(now))
	for bound := range now {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	if len(bounds) == 0 {
		return nil
	}
	top := bounds[len(bounds)-1]
	all := now[top] - earlier[top]
	if all <= 0 {
		return nil
	}
	at := bounds[0]
	for _, bound := range bounds {
		if !math.IsInf(bound, 1) {
			at = bound
		}
		if now[bound]-earlier[bound] >= 0.99*all {
			break
		}
	}
	return &at
}

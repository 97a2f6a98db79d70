package console

import (
	"net/url"
	"slices"
	"strings"
)

// following is a page that follows the fleet: the parts that are replaced, which are templates of that name and elements of that id.
type following struct {
	template string
	parts    []string
	data     func(s *site, q url.Values, found *sample) any // nil: what the sampler knows is all
}

// common are the parts that every page has.
var common = []string{"status", "sampling"}

// dataOf is what the template gets besides what the sampler knows.
func (f *following) dataOf(s *site, q url.Values, found *sample) any {
	if f.data == nil {
		return nil
	}
	return f.data(s, q, found)
}

// render returns the parts of a page, by their ids.
func (f *following) render(s *site, q url.Values, found *sample) (map[string]string, error) {
	frame := s.frame(&view{data: f.dataOf(s, q, found)}, found)
	parts := make(map[string]string)
	for _, id := range slices.Concat(common, f.parts) {
		var part strings.Builder
		if err := pages()[f.template].ExecuteTemplate(&part, id, frame); err != nil {
			return nil, err
		}
		parts[id] = strings.TrimSpace(strings.ReplaceAll(part.String(), "\r", "")) // which would end a line
	}
	return parts, nil
}

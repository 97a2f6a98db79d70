package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// How a site may behave.
const (
	fine    = "fine"
	broken  = "broken"  // status 500
	hanging = "hanging" // no answer
	defaced = "defaced" // another text than expected
)

// expected is in the answer of a site that is fine.
const expected = "Welcome"

// sites is a server with many sites, /site/0 and so on, each of which misbehaves on command.
type sites struct {
	server  *http.Server
	address string

	mu   sync.Mutex
	ways []string // of each site
}

func startSites(n int) (*sites, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sites{address: "http://" + listener.Addr().String(), ways: make([]string, n)}
	s.set(0, n, fine)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /site/{n}", s.answer)
	mux.HandleFunc("POST /sites", s.command)
	s.server = &http.Server{Handler: mux}
	go s.server.Serve(listener)
	return s, nil
}

// set has the sites from one number to below another behave in some way.
func (s *sites) set(from, to int, way string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := from; i < to; i++ {
		s.ways[i] = way
	}
}

// command is set for people: curl -d from=0 -d to=10 -d way=broken ADDRESS/sites.
func (s *sites) command(w http.ResponseWriter, r *http.Request) {
	from, err1 := strconv.Atoi(r.FormValue("from"))
	to, err2 := strconv.Atoi(r.FormValue("to"))
	way := r.FormValue("way")
	known := way == fine || way == broken || way == hanging || way == defaced
	if err1 != nil || err2 != nil || from < 0 || to > len(s.ways) || !known {
		http.Error(w, fmt.Sprintf("want from=0 to=%d way=fine, broken, hanging or defaced", len(s.ways)), http.StatusBadRequest)
		return
	}
	s.set(from, to, way)
}

func (s *sites) answer(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(s.ways) {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	way := s.ways[n]
	s.mu.Unlock()
	switch way {
	case broken:
		w.WriteHeader(http.StatusInternalServerError)
	case hanging:
		<-r.Context().Done()
	case defaced:
		fmt.Fprintln(w, "You have been hacked")
	default:
		fmt.Fprintln(w, expected)
	}
}

func (s *sites) close() error { return s.server.Close() }

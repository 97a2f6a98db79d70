package main

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
)

// hook is a webhook that collects alerts.
type hook struct {
	server  *http.Server
	address string

	mu     sync.Mutex
	alerts map[string]string // status by key
	again  int               // alerts with a key that was there already
}

func startHook() (*hook, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &hook{address: "http://" + listener.Addr().String(), alerts: make(map[string]string)}
	h.server = &http.Server{Handler: h}
	go h.server.Serve(listener)
	return h, nil
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var alert struct{ Key, Status string }
	if err := json.NewDecoder(r.Body).Decode(&alert); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.alerts[alert.Key]; known {
		h.again++
	}
	h.alerts[alert.Key] = alert.Status
}

// count returns how many changes there were to a status, and how many alerts of any status came again.
func (h *hook) count(status string) (n, again int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.alerts {
		if s == status {
			n++
		}
	}
	return n, h.again
}

func (h *hook) close() error { return h.server.Close() }

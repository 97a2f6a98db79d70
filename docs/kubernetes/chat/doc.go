// Command chat is a consumer for Kubernetes, to be copied: it reads the messages of the streams that it owns, and serves /ready, /live
// and /metrics. docs/kubernetes/README.md explains how the manifests there run it.
package main

// Package kubernetes checks the manifests of docs/kubernetes against each other and against the defaults of the library, and runs their
// program as a pod would.
package kubernetes

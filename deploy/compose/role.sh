#!/bin/sh
# Runs once, when the server's data is made. The application's role is no superuser: PostgreSQL keeps places for
# superusers, so that somebody can look into a server that is full.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres -v password="$BOOKSTORE_PASSWORD" <<'SQL'
CREATE ROLE bookstore LOGIN NOSUPERUSER PASSWORD :'password';
CREATE DATABASE bookstore OWNER bookstore;
SQL

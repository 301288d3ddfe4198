CREATE TABLE t AS SELECT * FROM (VALUES
  (1, 1, 1, 10, 'x'), (2, 1, 2, NULL, 'y'), (3, 2, 3, 20, NULL), (4, 2, NULL, 20, 'x'),
  (5, 3, 5, 30, 'z'), (6, NULL, 6, 5, 'x'), (7, 4, 2, 10, 'y'), (8, 1, 1, 10, 'x')
) AS r(id, p, a, b, s);
CREATE TABLE u AS SELECT * FROM (VALUES
  (1, 1, 10), (1, 2, 20), (1, NULL, 5), (2, 3, 20), (2, 3, 30), (3, NULL, NULL),
  (NULL, 7, 1), (5, 5, 15), (4, 2, NULL)
) AS r(p, a, b);
CREATE TABLE v AS SELECT * FROM (VALUES
  (1, 10), (2, 20), (2, 10), (3, 20), (3, 30), (NULL, 10), (5, NULL), (7, 5)
) AS r(q, r);
CREATE TABLE w AS SELECT * FROM (VALUES (1, 100), (2, 200), (4, 400)) AS r(p, c);
CREATE TABLE e AS SELECT * FROM (VALUES (1, 1, 1)) AS r(p, a, b) WHERE p > 1;
CREATE TABLE n (p INT NOT NULL, a INT NOT NULL);
INSERT INTO n VALUES (1, 1), (1, 2), (2, 3), (3, 9);
CREATE TABLE m (p INT NOT NULL, a INT NOT NULL);
INSERT INTO m VALUES (1, 2), (2, 3), (2, 5), (4, 9), (5, 1)

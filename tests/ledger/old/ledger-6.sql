BEGIN TRANSACTION;
CREATE TABLE attempts (
            trial INTEGER NOT NULL REFERENCES trials (number),
            attempt INTEGER NOT NULL,
            begun REAL NOT NULL,
            started REAL,
            ended REAL,
            pid INTEGER,
            host TEXT,
            gpu_ids TEXT NOT NULL DEFAULT '[]',
            cold_reason TEXT,
            cause TEXT,
            exit_code INTEGER,
            signal INTEGER,
            error TEXT,
            log_tail TEXT NOT NULL DEFAULT '[]',
            first_report INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (trial, attempt)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "attempts" VALUES(0,0,1795000000.0,1795000001.0,1795000009.0,100,'box','["0"]',NULL,'finished',0,NULL,NULL,'[]',0);
INSERT INTO "attempts" VALUES(1,0,1795000000.0,1795000001.0,1795000009.0,101,'box','["1"]',NULL,'failed',1,NULL,'ValueError: no','["a", "b"]',0);
INSERT INTO "attempts" VALUES(2,0,1795000000.0,1795000001.0,NULL,102,'box','["2"]',NULL,NULL,NULL,NULL,NULL,'[]',0);
CREATE TABLE decisions (
            id INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            trial INTEGER,
            attempt INTEGER,
            what TEXT NOT NULL,
            reason TEXT
        ) STRICT;
INSERT INTO "decisions" VALUES(1,1795000000.0,2,0,'stop','worse than the rest');
CREATE TABLE metrics (
            trial INTEGER NOT NULL,
            name TEXT NOT NULL,
            report INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            step INTEGER,
            time REAL NOT NULL,
            value REAL,
            PRIMARY KEY (trial, name, attempt, report)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "metrics" VALUES(0,'acc',0,0,0,1795000002.0,0.5);
INSERT INTO "metrics" VALUES(0,'acc',1,0,1,1795000003.0,0.5);
INSERT INTO "metrics" VALUES(0,'acc',2,0,2,1795000004.0,0.5);
INSERT INTO "metrics" VALUES(0,'loss',0,0,0,1795000002.0,2.0);
INSERT INTO "metrics" VALUES(0,'loss',1,0,1,1795000003.0,NULL);
INSERT INTO "metrics" VALUES(0,'loss',2,0,2,1795000004.0,1.5);
INSERT INTO "metrics" VALUES(1,'acc',0,0,0,1795000002.0,0.5);
INSERT INTO "metrics" VALUES(1,'acc',1,0,1,1795000003.0,0.5);
INSERT INTO "metrics" VALUES(1,'acc',2,0,2,1795000004.0,0.5);
INSERT INTO "metrics" VALUES(1,'loss',0,0,0,1795000002.0,1.0);
INSERT INTO "metrics" VALUES(1,'loss',1,0,1,1795000003.0,NULL);
INSERT INTO "metrics" VALUES(1,'loss',2,0,2,1795000004.0,0.5);
INSERT INTO "metrics" VALUES(2,'acc',0,0,0,1795000002.0,0.5);
INSERT INTO "metrics" VALUES(2,'acc',1,0,1,1795000003.0,0.5);
INSERT INTO "metrics" VALUES(2,'acc',2,0,2,1795000004.0,0.5);
INSERT INTO "metrics" VALUES(2,'loss',0,0,0,1795000002.0,0.0);
INSERT INTO "metrics" VALUES(2,'loss',1,0,1,1795000003.0,NULL);
INSERT INTO "metrics" VALUES(2,'loss',2,0,2,1795000004.0,-0.5);
CREATE TABLE requests (
            id INTEGER PRIMARY KEY,
            time REAL NOT NULL,
            action TEXT NOT NULL,
            taken REAL
        , trial INTEGER, changes TEXT NOT NULL DEFAULT '{}') STRICT;
CREATE TABLE scores (
            trial INTEGER NOT NULL,
            position INTEGER NOT NULL,
            objective INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            step INTEGER,
            value REAL,
            PRIMARY KEY (trial, objective, position)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "scores" VALUES(0,0,0,0,0,2.0);
INSERT INTO "scores" VALUES(0,1,0,0,1,NULL);
INSERT INTO "scores" VALUES(0,2,0,0,2,1.5);
INSERT INTO "scores" VALUES(1,0,0,0,0,1.0);
INSERT INTO "scores" VALUES(1,1,0,0,1,NULL);
INSERT INTO "scores" VALUES(1,2,0,0,2,0.5);
INSERT INTO "scores" VALUES(2,0,0,0,0,0.0);
INSERT INTO "scores" VALUES(2,1,0,0,1,NULL);
INSERT INTO "scores" VALUES(2,2,0,0,2,-0.5);
CREATE TABLE sweep (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            sweep_id TEXT NOT NULL,
            name TEXT NOT NULL,
            spec_text TEXT NOT NULL,
            seed INTEGER NOT NULL,
            state TEXT NOT NULL,
            reason TEXT,
            created REAL NOT NULL,
            cwd TEXT NOT NULL,
            source_path TEXT,
            source_text TEXT,
            wandb_sweep_id TEXT
        , active_s REAL NOT NULL DEFAULT 0, study TEXT) STRICT;
INSERT INTO "sweep" VALUES(1,'k3x9w2ab','old','program: train.py
method: random
run_cap: 3
metric: {name: loss}
parameters: {lr: {min: 0.0, max: 1.0}}
',7,'interrupted',NULL,1795000000.0,'/work',NULL,NULL,NULL,0.0,NULL);
CREATE TABLE trials (
            number INTEGER PRIMARY KEY,
            config TEXT NOT NULL,
            state TEXT NOT NULL,
            attempt INTEGER NOT NULL DEFAULT -1,
            value REAL,
            score REAL,
            scores TEXT NOT NULL DEFAULT '[]',
            step INTEGER,
            n_reports INTEGER NOT NULL DEFAULT 0,
            n_values INTEGER NOT NULL DEFAULT 0,
            cause TEXT,
            error TEXT,
            reason TEXT,
            created REAL NOT NULL,
            started REAL,
            ended REAL,
            ended_order INTEGER UNIQUE,
            host TEXT,
            gpu_ids TEXT NOT NULL DEFAULT '[]',
            run_id TEXT,
            n_observed INTEGER,
            metrics TEXT NOT NULL DEFAULT '{}'
        , n_told INTEGER NOT NULL DEFAULT 0, summary TEXT NOT NULL DEFAULT '{}', study TEXT, own_step INTEGER) STRICT;
INSERT INTO "trials" VALUES(0,'{"lr": 0.25}','finished',0,1.5,1.5,'[1.5]',3,3,0,'finished',NULL,NULL,1795000000.0,1795000001.0,1795000009.0,0,'box','["0"]','k3x9w2ab-0000',0,'{"loss": [1.5, 3], "acc": [0.5, 3]}',3,'{}',NULL,NULL);
INSERT INTO "trials" VALUES(1,'{"lr": 0.5}','failed',0,0.5,0.5,'[0.5]',3,3,0,'failed','ValueError: no',NULL,1795000000.0,1795000001.0,1795000009.0,1,'box','["1"]','k3x9w2ab-0001',0,'{"loss": [0.5, 3], "acc": [0.5, 3]}',3,'{}',NULL,NULL);
INSERT INTO "trials" VALUES(2,'{"lr": 0.75}','running',0,-0.5,-0.5,'[-0.5]',3,3,0,NULL,NULL,NULL,1795000000.0,1795000001.0,NULL,NULL,'box','["2"]','k3x9w2ab-0002',0,'{"loss": [-0.5, 3], "acc": [0.5, 3]}',3,'{}',NULL,NULL);
COMMIT;
PRAGMA user_version = 6;
